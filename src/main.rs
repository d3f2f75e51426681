//! The binary; `command.rs` says what it does.

#[global_allocator]
static ALLOCATOR: gateway_alloc::BySize = gateway_alloc::BySize;

fn main() -> std::process::ExitCode {
    anyrouter_gateway::run()
}
