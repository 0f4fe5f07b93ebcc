//! The `vestibule` binary.

fn main() -> std::process::ExitCode {
    vestibule::cli::run()
}
