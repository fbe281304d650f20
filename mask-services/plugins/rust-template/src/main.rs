//! The service: `plugin-template --config plugin.toml`, `health --config plugin.toml` or `operations`.

use std::process::ExitCode;

fn main() -> ExitCode {
    nephrite_kernel::grpc::serve(nephrite_plugin_template::Calibre::new())
}
