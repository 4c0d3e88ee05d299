//! The peer of the same run: node's oidc-provider, in memory.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// What the peer's operations cost: `{operation: {cpu_us, per_second}}`.
pub fn measure(flows: usize) -> Result<Value, String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../e2e/bench");
    if !dir.join("node_modules").is_dir() {
        return Err("`npm ci --prefix e2e/bench` was not run".to_owned());
    }
    let out = Command::new("node").arg(dir.join("driver.mjs")).arg(flows.to_string()).output().map_err(|e| e.to_string())?;
    serde_json::from_slice(&out.stdout).map_err(|_| String::from_utf8_lossy(&out.stderr).lines().last().unwrap_or_default().to_owned())
}
