//! SVG, drawn at the size that is needed; nothing outside the file is looked at.

use super::{
    super::super::RenderError,
    super::{
        fonts::Fonts,
        scale::{Layout, Raster, fit},
    },
    Source, Wanted, read_whole,
};
use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{ImageHrefResolver, ImageKind, Options, Tree, roxmltree},
};
use std::{fs::File, sync::Arc};

/// Bytes of the text.
const LARGEST: u64 = 16 << 20;
/// Elements, attributes and texts, after entities are resolved.
const MOST_NODES: u32 = 250_000;
/// Nested deeper, drawing it would need more stack than there is.
const DEEPEST: usize = 200;

pub(super) fn decode(file: File, wanted: &Wanted, fonts: &Fonts) -> Result<Source, RenderError> {
    let bytes = read_whole(file, LARGEST.min(wanted.bounds.max_source))?;
    let text = std::str::from_utf8(&bytes).map_err(RenderError::broken)?;
    let parsing =
        roxmltree::ParsingOptions { allow_dtd: true, nodes_limit: MOST_NODES, ..Default::default() };
    let document = roxmltree::Document::parse_with_options(text, parsing).map_err(RenderError::broken)?;
    if is_too_deep(&document) {
        return Err(RenderError::broken("its elements are nested too deeply"));
    }
    let mut options =
        Options { image_href_resolver: own_images(wanted.bounds.max_pixels), ..Options::default() };
    if document.descendants().any(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "text"))) {
        options.fontdb = fonts.database();
        if let Some(family) = fonts.fallback() {
            family.clone_into(&mut options.font_family);
        }
    }
    let tree = Tree::from_xmltree(&document, &options).map_err(RenderError::broken)?;
    drop(document);
    draw(&tree, wanted.longest)
}

fn is_too_deep(document: &roxmltree::Document<'_>) -> bool {
    let mut depth = 0_usize;
    let mut node = document.root();
    // By hand, without recursion: each step goes down, to the side, or up and to the side.
    loop {
        if let Some(child) = node.first_child() {
            depth += 1;
            if depth > DEEPEST {
                return true;
            }
            node = child;
            continue;
        }
        loop {
            if let Some(sibling) = node.next_sibling() {
                node = sibling;
                break;
            }
            let Some(parent) = node.parent() else { return false };
            depth = depth.saturating_sub(1);
            node = parent;
        }
    }
}

/// Pictures inside the text itself, of bounded size; no files, no addresses, no SVG in SVG.
fn own_images(max_pixels: u64) -> ImageHrefResolver<'static> {
    let by_type = ImageHrefResolver::default_data_resolver();
    let fits = move |data: &[u8]| {
        image::ImageReader::new(std::io::Cursor::new(data))
            .with_guessed_format()
            .ok()
            .and_then(|reader| reader.into_dimensions().ok())
            .is_some_and(|(width, height)| u64::from(width) * u64::from(height) <= max_pixels)
    };
    ImageHrefResolver {
        resolve_data: Box::new(move |media_type: &str, data: Arc<Vec<u8>>, options| {
            let is_picture = media_type.starts_with("image/") && media_type != "image/svg+xml";
            let kind = if is_picture && fits(&data) { by_type(media_type, data, options) } else { None };
            kind.filter(|kind| !matches!(kind, ImageKind::SVG(_)))
        }),
        resolve_string: Box::new(|_, _| None),
    }
}

fn draw(tree: &Tree, longest: u32) -> Result<Source, RenderError> {
    let full = tree.size().to_int_size();
    let size = (full.width(), full.height());
    let (width, height) = fit(size, longest);
    let mut canvas = Pixmap::new(width, height).ok_or(RenderError::OutOfMemory)?;
    let scale = Transform::from_scale(ratio(width, tree.size().width()), ratio(height, tree.size().height()));
    resvg::render(tree, scale, &mut canvas.as_mut());
    let data = canvas.take_demultiplied();
    Ok(Source::still(Raster::new(Layout::Rgba, width, height, data), size))
}

#[expect(clippy::cast_precision_loss, reason = "sides of pictures are far below 2^24")]
fn ratio(pixels: u32, length: f32) -> f32 {
    pixels as f32 / length
}
