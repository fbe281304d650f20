//! An RGB picture with rectangles and letters, and its PNG.

use std::convert::Infallible;

use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::FONT_8X13;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::{DrawTarget, Drawable, OriginDimensions, Pixel, Point, RgbColor, Size};
use embedded_graphics::text::{Baseline, Text};

use crate::SampleError;

/// Red, green, blue.
pub(crate) type Color = [u8; 3];

pub(crate) const BACKGROUND: Color = [16, 18, 22];
/// Of a panel, where there is no label.
pub(crate) const EMPTY: Color = [32, 35, 42];
pub(crate) const BRIGHT: Color = [236, 238, 242];
pub(crate) const DIM: Color = [150, 156, 166];

/// Pixels of a character.
pub(crate) const LETTER: [usize; 2] = [8, 13];

/// An 8-bit RGB picture.
pub(crate) struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<Color>,
}

impl Canvas {
    /// Callers keep both sides to a few thousand pixels.
    pub(crate) fn new(width: usize, height: usize) -> Canvas {
        Canvas {
            width,
            height,
            pixels: vec![BACKGROUND; width * height],
        }
    }

    /// What lies outside is left out.
    pub(crate) fn set(&mut self, x: usize, y: usize, color: Color) {
        if x < self.width && y < self.height {
            self.pixels[y * self.width + x] = color;
        }
    }

    /// A filled rectangle.
    pub(crate) fn fill(&mut self, [left, top]: [usize; 2], [width, height]: [usize; 2], color: Color) {
        for y in top..top + height {
            for x in left..left + width {
                self.set(x, y, color);
            }
        }
    }

    /// One line; characters outside of ISO 8859-1 become question marks.
    pub(crate) fn text(&mut self, text: &str, [left, top]: [usize; 2], color: Color) {
        let corner = Point::new(left as i32, top as i32); // a few thousand pixels
        let style = MonoTextStyle::new(&FONT_8X13, Rgb888::new(color[0], color[1], color[2]));
        match Text::with_baseline(text, corner, style, Baseline::Top).draw(self) {
            Ok(_) => {}
            Err(never) => match never {},
        }
    }

    pub(crate) fn png(&self) -> Result<Vec<u8>, SampleError> {
        let wrong = |error: png::EncodingError| SampleError::Picture {
            reason: error.to_string(),
        };
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_compression(png::Compression::Balanced);
        let mut writer = encoder.write_header().map_err(wrong)?;
        writer
            .write_image_data(self.pixels.as_flattened())
            .map_err(wrong)?;
        writer.finish().map_err(wrong)?;
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
