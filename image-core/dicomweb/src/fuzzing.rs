//! What the fuzz targets call; the tests replay their seeds through the same functions.

use crate::json::{First, rows};
use crate::json_guard::JsonGuard;
use crate::media_type::MediaType;
use crate::multipart::{Event, MultipartFault, MultipartReader};
use crate::stow_reply::outcomes;

/// Contents of whole parts, and what a message comes to, if it comes in pieces of this size.
fn parts(message: &[u8], size: usize) -> Result<Vec<Vec<u8>>, MultipartFault> {
    let mut reader = MultipartReader::new("b")?;
    let (mut parts, mut open) = (Vec::new(), None);
    for piece in message.chunks(size) {
        reader.push(piece, |event| {
            match event {
                Event::Begin(_) => assert!(open.replace(Vec::new()).is_none(), "a part ends before the next"),
                Event::Data(data) => {
                    let part: &mut Vec<u8> = open.as_mut().expect("a part begins before it goes on");
                    assert!(!data.is_empty());
                    part.extend_from_slice(data);
                }
                Event::End => parts.push(open.take().expect("a part begins before it ends")),
            }
            Ok::<(), MultipartFault>(())
        })?;
    }
    reader.finish()?;
    assert!(open.is_none() && reader.parts() == parts.len() as u64);
    Ok(parts)
}

/// Takes any bytes apart as a message: refused, or the same parts come out whatever pieces it comes in. The first byte says how
/// large these are.
pub fn multipart(bytes: &[u8]) {
    let Some((size, message)) = bytes.split_first() else {
        return;
    };
    let whole = parts(message, message.len().max(1));
    assert_eq!(parts(message, usize::from(*size).max(1)), whole);
    let length: usize = whole.iter().flatten().map(Vec::len).sum();
    assert!(length <= message.len());
}

/// Reads any bytes as each answer in JSON, and as a media type: no panic, bounded depth.
pub fn answers(bytes: &[u8]) {
    if let Ok((found, _)) = outcomes(bytes) {
        assert!(found.len() <= bytes.len());
    }
    if JsonGuard::default().check(bytes).is_ok() {
        let mut n_rows = 0;
        let read = rows(&mut serde_json::Deserializer::from_slice(bytes), |_: Row| {
            n_rows += 1;
            Ok(())
        });
        assert!(read.is_err() || n_rows <= bytes.len());
    }
    if let Some(text) = std::str::from_utf8(bytes).ok().and_then(MediaType::parse) {
        assert!(text.name.contains('/'));
    }
}

#[derive(serde::Deserialize)]
struct Row {
    #[serde(rename = "00080018", default)]
    _instance: First,
}
