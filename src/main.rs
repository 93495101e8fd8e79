//! The binary: everything it does stands in the library.

fn main() -> std::process::ExitCode {
    emx::app::main()
}
