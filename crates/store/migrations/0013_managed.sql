-- The name by which a managing system knows a device: what it says about that name is about this device.

CREATE TABLE managed (
    id TEXT NOT NULL PRIMARY KEY,   -- the source and its name for the device
    source TEXT NOT NULL,
    device TEXT NOT NULL,
    at BIGINT NOT NULL
) /* STRICT */;
CREATE UNIQUE INDEX managed_by_device ON managed (device, source);
