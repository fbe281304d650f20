//! Pictures of masks: pixels, rectangles and text, packed as PNG. The preview is drawn on it, and the picture of the demo.

use std::convert::Infallible;

use embedded_graphics::mono_font::iso_8859_1::{FONT_8X13, FONT_9X18_BOLD};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::{DrawTarget, Drawable, OriginDimensions, Pixel, Point, RgbColor, Size};
use embedded_graphics::text::{Baseline, Text};
pub use png::{Compression, EncodingError};

/// Red, green, blue.
pub type Color = [u8; 3];

/// Of a new canvas.
pub const BACKGROUND: Color = [16, 18, 22];
/// Of text that is looked for.
pub const BRIGHT: Color = [236, 238, 242];
/// Of text that explains.
pub const DIM: Color = [150, 156, 166];

/// Width and height of a character of [`Canvas::text`], pixels.
pub const LETTER: [usize; 2] = [8, 13];

/// An 8-bit RGB picture. Places are `[x, y]` in pixels from the upper left corner; what lies outside is left out.
#[derive(Debug, Clone)]
pub struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<Color>,
}

impl Canvas {
    /// All [`BACKGROUND`]. Callers keep both sides to a few thousand pixels.
    pub fn new(width: usize, height: usize) -> Canvas {
        Canvas {
            width,
            height,
            pixels: vec![BACKGROUND; width * height],
        }
    }

    /// One pixel.
    pub fn set(&mut self, x: usize, y: usize, color: Color) {
        if x < self.width && y < self.height {
            self.pixels[y * self.width + x] = color;
        }
    }

    /// A filled rectangle of `[width, height]`.
    pub fn fill(&mut self, [left, top]: [usize; 2], [width, height]: [usize; 2], color: Color) {
        for y in top..top + height {
            for x in left..left + width {
                self.set(x, y, color);
            }
        }
    }

    /// One line; characters outside of ISO 8859-1 become question marks.
    pub fn text(&mut self, text: &str, at: [usize; 2], color: Color) {
        self.line(text, at, &FONT_8X13, color);
    }

    /// The same, larger and bold.
    pub fn heading(&mut self, text: &str, at: [usize; 2], color: Color) {
        self.line(text, at, &FONT_9X18_BOLD, color);
    }

    fn line(&mut self, text: &str, [left, top]: [usize; 2], font: &MonoFont<'_>, [r, g, b]: Color) {
        let corner = Point::new(left as i32, top as i32); // a few thousand pixels
        let style = MonoTextStyle::new(font, Rgb888::new(r, g, b));
        match Text::with_baseline(text, corner, style, Baseline::Top).draw(self) {
            Ok(_) => {}
            Err(never) => match never {},
        }
    }

    /// The picture as a file.
    ///
    /// # Errors
    /// What the encoder says; it writes to memory.
    pub fn png(&self, compression: Compression) -> Result<Vec<u8>, EncodingError> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(compression);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(self.pixels.as_flattened())?;
        writer.finish()?;
        Ok(file)
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width as u32, self.height as u32)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(point, color) in pixels {
            if let (Ok(x), Ok(y)) = (usize::try_from(point.x), usize::try_from(point.y)) {
                self.set(x, y, [color.r(), color.g(), color.b()]);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const RED: Color = [255, 0, 0];

    /// Width, height and pixels.
    pub(crate) fn decode(file: &[u8]) -> (usize, usize, Vec<Color>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut bytes).unwrap();
        assert_eq!(
            (frame.color_type, frame.bit_depth),
            (png::ColorType::Rgb, png::BitDepth::Eight)
        );
        let pixels = bytes[..frame.buffer_size()].as_chunks::<3>().0.to_vec();
        (frame.width as usize, frame.height as usize, pixels)
    }

    /// Places of this color, `[x, y]`.
    fn places(canvas: &Canvas, color: Color) -> Vec<[usize; 2]> {
        let colored = canvas.pixels.iter().enumerate().filter(|(_, c)| **c == color);
        colored
            .map(|(i, _)| [i % canvas.width, i / canvas.width])
            .collect()
    }

    #[test]
    fn every_compression_packs_the_same_pixels() {
        let mut canvas = Canvas::new(5, 3);
        canvas.set(4, 0, RED);
        canvas.set(0, 2, BRIGHT);
        for compression in [Compression::Fast, Compression::Balanced, Compression::High] {
            let decoded = decode(&canvas.png(compression).unwrap());
            assert_eq!(decoded, (5, 3, canvas.pixels.clone()));
        }
    }

    #[test]
    fn what_lies_outside_is_left_out() {
        let mut canvas = Canvas::new(4, 3);
        canvas.set(4, 0, RED);
        canvas.set(0, 3, RED);
        assert!(places(&canvas, RED).is_empty());
        canvas.fill([2, 2], [9, 9], RED);
        assert_eq!(places(&canvas, RED), [[2, 2], [3, 2]]);
        canvas.text("out", [100, 100], BRIGHT);
        assert!(places(&canvas, BRIGHT).is_empty());
    }

    #[test]
    fn a_line_has_one_letter_after_the_other() {
        let [width, height] = LETTER;
        let drawn = |text: &str| {
            let mut canvas = Canvas::new(4 * width, 2 * height);
            canvas.text(text, [width, 3], RED);
            places(&canvas, RED)
        };
        let once = drawn("A");
        assert!(once.len() > 10, "{once:?}");
        let within = |[x, y]: [usize; 2]| (width..2 * width).contains(&x) && (3..3 + height).contains(&y);
        assert!(once.iter().all(|&place| within(place)), "{once:?}");
        let moved = once.iter().map(|[x, y]| [x + width, *y]);
        let mut both: Vec<_> = once.iter().copied().chain(moved).collect();
        both.sort_by_key(|[x, y]| (*y, *x));
        assert_eq!(drawn("AA"), both);
        assert_eq!(drawn("漢"), drawn("?"));
        assert_ne!(drawn("ü"), drawn("?"));
    }

    #[test]
    fn a_heading_is_larger() {
        let height = |draw: fn(&mut Canvas)| {
            let mut canvas = Canvas::new(40, 40);
            draw(&mut canvas);
            let rows = places(&canvas, RED).into_iter().map(|[_, y]| y);
            rows.clone().max().unwrap() - rows.min().unwrap() + 1
        };
        let text = height(|canvas| canvas.text("A", [0, 0], RED));
        let heading = height(|canvas| canvas.heading("A", [0, 0], RED));
        assert!(heading > text, "{heading} {text}");
    }
}
