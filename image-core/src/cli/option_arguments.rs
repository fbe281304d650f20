//! Options of a mask on the command line, as their declarations say.

use std::ops::RangeBounds as _;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};
use nephrite_types::{OptionKind, SegmentationOptions};

/// `--no-mirroring`, `--tile-step-size` and the others.
#[derive(Debug)]
pub(crate) struct OptionArguments(pub(crate) SegmentationOptions);

impl Args for OptionArguments {
    fn augment_args(mut command: Command) -> Command {
        for key in SegmentationOptions::KEYS {
            let arg = Arg::new(key.name)
                .long(key.name.replace('_', "-"))
                .help(sentence(key.help));
            command = command.arg(match key.kind {
                OptionKind::Switch(_) => arg.action(ArgAction::SetTrue),
                OptionKind::Number {
                    expected, range, get, ..
                } => arg
                    .value_name("NUMBER")
                    .help(format!("{}: {expected}", sentence(key.help)))
                    .value_parser(move |text: &str| {
                        let number = text.parse().ok().filter(|number| range.contains(number));
                        number.ok_or_else(|| format!("expected {expected}"))
                    })
                    .default_value(get(&SegmentationOptions::default()).to_string()),
                OptionKind::Choice { words, .. } => arg
                    .value_parser(words.iter().map(|(word, _)| *word).collect::<Vec<_>>())
                    .default_value(words[0].0),
            });
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        OptionArguments::augment_args(command)
    }
}

impl FromArgMatches for OptionArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut options = SegmentationOptions::default();
        for key in SegmentationOptions::KEYS {
            match key.kind {
                OptionKind::Switch(set) => set(&mut options, matches.get_flag(key.name)),
                OptionKind::Number { set, .. } => {
                    let given = matches.get_one::<f64>(key.name);
                    given.into_iter().for_each(|number| set(&mut options, *number));
                }
                OptionKind::Choice { words, .. } => {
                    let given = matches.get_one::<String>(key.name);
                    let set = words
                        .iter()
                        .find(|(word, _)| given.is_some_and(|given| given == word));
                    set.into_iter().for_each(|(_, set)| set(&mut options));
                }
            }
        }
        Ok(OptionArguments(options))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = OptionArguments::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Help begins with a capital on the command line.
fn sentence(help: &str) -> String {
    let mut letters = help.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
