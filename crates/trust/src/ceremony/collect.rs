//! Clients that collect a result themselves, at the token endpoint: the device grant (RFC 8628) and
//! CIBA. No browser and no page of ours comes between, so nothing can be asked of a person there.

use countersign_wire::code::Direction;
use countersign_wire::statement::{Channel, Demanded};
use serde::{Deserialize, Serialize};

/// How a client collects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientGrant {
    /// By a code that a person types on their device (RFC 8628).
    DeviceCode,
    /// By asking a person whom it names (OpenID Connect CIBA Core 1.0).
    Ciba,
}

impl ClientGrant {
    /// The word in policies, tokens and the log.
    pub fn as_str(self) -> &'static str {
        match self {
            ClientGrant::DeviceCode => "device_code",
            ClientGrant::Ciba => "ciba",
        }
    }
}

/// Who collects: a client with its key, or a client alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collector {
    /// By which grant.
    pub grant: ClientGrant,
    /// Whether it must show the key that it began with.
    pub bound: bool,
}

impl Collector {
    /// The word in policies and tokens.
    pub fn as_str(self) -> &'static str {
        if self.bound { "client_key" } else { "client_only" }
    }
}

/// What is fixed where a client collects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collects {
    /// Who.
    #[serde(flatten)]
    pub by: Collector,
    /// The whole of it ends after this, seconds: what the client was told (`expires_in`).
    pub life_s: i64,
    /// The one resource that its tokens are for, where one was named (RFC 8707).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// What a client says about the circumstances (FAPI-CIBA §5.2.2), kept as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<serde_json::Value>,
    /// What the client is told with that there is something to collect, sealed (CIBA Core 1.0 §10.2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ping: Option<String>,
    /// Digits that the client shows to the person and that are typed on the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
}

/// Digits of a client's own, kept so that they can be compared and not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// How many.
    pub digits: u8,
    /// base64url MAC over them, by the server key that the ceremony names.
    pub mac: String,
}

impl Collects {
    /// Digits to be asked. A typed user code is itself what travels from one screen to the other; a
    /// foreign client can neither show digits nor take them.
    pub fn demanded(&self, channel: Channel) -> Demanded {
        match &self.binding {
            Some(binding) if channel == Channel::Push => {
                Demanded { directions: vec![Direction::TypedOnDevice], digits: binding.digits }
            }
            _ => Demanded { directions: Vec::new(), digits: 0 },
        }
    }
}
