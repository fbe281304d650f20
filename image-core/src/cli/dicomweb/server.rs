//! Which server is meant: by its name in a configuration, or by a URL, which only a command line may say.

use std::path::PathBuf;

use clap::Args;
use nephrite_dicomweb::{BaseUrl, Credentials, DicomWeb, ServerName, ServerSettings};
use nephrite_image_core::server::ServeConfig;

use crate::cli::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct ServerArguments {
    /// The server: a name that the configuration has under [dicomweb.NAME], or a URL
    #[arg(long, value_name = "NAME|URL")]
    pub(crate) dicomweb: String,
    /// Configuration of a server, for a name
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// File that holds a bearer token, for a URL
    #[arg(long, value_name = "FILE", conflicts_with = "basic_file")]
    pub(crate) token_file: Option<PathBuf>,
    /// File that holds user:password, for a URL
    #[arg(long, value_name = "FILE")]
    pub(crate) basic_file: Option<PathBuf>,
    /// Certificates in PEM that the server's may be signed with, too, for a URL
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
}

impl ServerArguments {
    /// A client of the server.
    pub(crate) fn client(&self) -> Result<DicomWeb, Failure> {
        Ok(DicomWeb::new(self.settings()?)?)
    }

    fn settings(&self) -> Result<ServerSettings, Failure> {
        match self.dicomweb.contains(':') {
            true => self.of_url(),
            false => self.of_name(),
        }
    }

    fn of_url(&self) -> Result<ServerSettings, Failure> {
        let url: BaseUrl = self.dicomweb.parse().map_err(|_| {
            // A URL with a password in it is not shown.
            let expected = "a name, or a URL without user, password and query";
            Failure::wrong("--dicomweb", "no such URL", expected)
        })?;
        let token = self.token_file.clone().map(Credentials::TokenFile);
        let mut settings = ServerSettings::new(url.host(), url);
        settings.credentials = token.or_else(|| self.basic_file.clone().map(Credentials::BasicFile));
        settings.ca_file.clone_from(&self.ca_file);
        Ok(settings)
    }

    fn of_name(&self) -> Result<ServerSettings, Failure> {
        let found = format!("{:?}", self.dicomweb);
        let name: ServerName = self
            .dicomweb
            .parse()
            .map_err(|fault| Failure::wrong("--dicomweb", &found, &format!("a URL, or a name: {fault}")))?;
        let of_url = [
            ("--token-file", &self.token_file),
            ("--basic-file", &self.basic_file),
            ("--ca-file", &self.ca_file),
        ];
        if let Some((option, _)) = of_url.iter().find(|(_, file)| file.is_some()) {
            return Err(Failure::wrong(
                option,
                "given",
                &format!("to be in the configuration, under [dicomweb.{name}]"),
            ));
        }
        let Some(path) = &self.config else {
            return Err(Failure::wrong(
                "--dicomweb",
                &found,
                "a URL, or --config with the configuration that has this name",
            ));
        };
        let servers = ServeConfig::read(path)?.dicomweb;
        let names: Vec<String> = servers.iter().map(|server| server.name.clone()).collect();
        let server = servers.into_iter().find(|server| server.name == name.as_str());
        server.ok_or_else(|| {
            let known = match names.is_empty() {
                true => "a server under [dicomweb.NAME], of which the configuration has none".to_owned(),
                false => format!("one of {}", names.join(", ")),
            };
            Failure::wrong("--dicomweb", &found, &known)
        })
    }
}

#[cfg(test)]
mod tests {
    use nephrite_types::ErrorCode;

    use super::*;

    fn arguments(server: &str) -> ServerArguments {
        ServerArguments {
            dicomweb: server.to_owned(),
            config: None,
            token_file: None,
            basic_file: None,
            ca_file: None,
        }
    }

    #[test]
    fn a_url_needs_no_configuration() {
        let mut typed = arguments("http://pacs:8042/dicom-web");
        typed.token_file = Some("token".into());
        let settings = typed.settings().unwrap();
        assert_eq!(
            (settings.name.as_str(), settings.credentials),
            ("pacs:8042", Some(Credentials::TokenFile("token".into())))
        );
        let failure = arguments("http://me:hush@pacs").settings().unwrap_err();
        assert!(
            failure.code == ErrorCode::InvalidArgument && !failure.message.contains("hush"),
            "{}",
            failure.message
        );
    }

    #[test]
    fn a_name_is_one_of_the_configuration() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "root = '.'\n[dicomweb.pacs]\nurl = 'http://pacs'\n[dicomweb.b]\nurl = 'http://b'",
        )
        .unwrap();
        let of = |name: &str| ServerArguments {
            config: Some(file.path().to_owned()),
            ..arguments(name)
        };
        assert_eq!(of("pacs").settings().unwrap().name, "pacs");
        let told = |arguments: &ServerArguments| arguments.settings().unwrap_err().message;
        assert!(
            told(&of("c")).ends_with("expected one of b, pacs")
                || told(&of("c")).ends_with("expected one of pacs, b")
        );
        assert!(told(&arguments("pacs")).contains("--config"));
        assert!(told(&arguments("a/b")).contains("letters"));
        let with_token = ServerArguments {
            token_file: Some("x".into()),
            ..of("pacs")
        };
        assert!(told(&with_token).contains("--token-file"));
    }
}
