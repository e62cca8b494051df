use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    match (args.next().as_deref(), args.next()) {
        (Some("zygote"), None) => match creel_shim::run_zygote() {
            Ok(()) => ExitCode::SUCCESS,
            Err(err) => {
                eprintln!("creel-shim: {err}");
                ExitCode::FAILURE
            }
        },
        (Some("--version"), None) => {
            println!("creel-shim {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!(
                "usage: creel-shim zygote\ncreel-engine starts this program, with a socket as its standard input."
            );
            ExitCode::from(64)
        }
    }
}
