//! Builds the book: `nephrite-docs` turns `docs/src` into `target/book`. Nothing is fetched, neither here nor by the pages.

use std::path::Path;

use anyhow::{Context as _, ensure};
use mdbook_driver::MDBook;
use mdbook_driver::book::BookItem;

fn main() -> anyhow::Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the builder lies in docs/")?;
    let book = MDBook::load(docs)?;
    book.build()?;
    let n_pages = book
        .iter()
        .filter(|item| matches!(item, BookItem::Chapter(_)))
        .count();
    let out = book.build_dir_for("html");
    ensure!(
        out.join("index.html").is_file(),
        "{} holds no index.html",
        out.display()
    );
    eprintln!("{n_pages} pages in {}", out.display());
    Ok(())
}
