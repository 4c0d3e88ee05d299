//! Measures what a decision costs the server: `cargo build --release && cargo run --release -p countersign-sim --example decisions`.

#[tokio::main]
async fn main() {
    countersign_sim::decisions::print(5_000).await;
}
