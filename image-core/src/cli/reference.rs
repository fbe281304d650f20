//! The book's page of commands is what the command line says of itself.

use clap_markdown::{MarkdownOptions, help_markdown_custom};
use nephrite_kernel::test_util::assert_reference_page;

use super::args::Arguments;

#[test]
fn the_reference_page_shows_all_commands() {
    let options = MarkdownOptions::new()
        .title("Commands".to_owned())
        .show_footer(false);
    assert_reference_page("commands.md", &help_markdown_custom::<Arguments>(&options));
}
