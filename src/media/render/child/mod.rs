//! The render process's side: locked in, one order after the other, until the line is closed.

mod color;
mod decode;
mod encode;
mod fonts;
mod line;
mod probe;
mod sandbox;
mod scale;

pub use self::probe::{probe, probe_without_filter};

use self::{decode::Source, encode::Picture, fonts::Fonts, line::Line};
use super::{
    RenderError,
    sniff::{HEAD, Kind},
    wire::{Announced, Answer, Bounds, Done, Hello, Order},
};
use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Seek},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::ExitCode,
};

/// The exit code of a tool's launcher that could not do its part.
pub(super) const NOT_STARTED: i32 = 125;

/// The renditions' bytes, in the order in which they are announced.
type Bytes = Vec<Vec<u8>>;

/// Serves orders from standard input until it is closed.
#[must_use]
pub fn serve(address_space: u64) -> ExitCode {
    // A decoder's panic is an answer to the order, not a line in somebody's terminal.
    std::panic::set_hook(Box::new(|_| ()));
    // Before the doors close.
    let fonts = Fonts::open();
    let not_applied = sandbox::enter_for_decoding(address_space);
    let mut line = Line;
    let outcome = line.send(&Hello { not_applied }).and_then(|()| carry_out_orders(&mut line, &fonts));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Becomes another program, locked in; comes back only when it can't.
#[must_use]
pub fn become_tool(
    program: &Path,
    arguments: &[OsString],
    address_space: u64,
    cpu_seconds: u64,
    file_size: u64,
) -> ExitCode {
    use std::os::unix::process::CommandExt;
    if let Err(error) = sandbox::enter_for_tool(program, address_space, cpu_seconds, file_size) {
        eprintln!("{error}");
    } else {
        let error = std::process::Command::new(program).args(arguments).exec();
        eprintln!("{}: {error}", program.display());
    }
    ExitCode::from(u8::try_from(NOT_STARTED).unwrap_or(u8::MAX))
}

fn carry_out_orders(line: &mut Line, fonts: &Fonts) -> io::Result<()> {
    while let Some((order, file)) = line.receive()? {
        sandbox::allow_cpu_seconds(order.bounds.cpu_seconds);
        // What a decoder leaves behind as it unwinds is its own, and dropped.
        let answer = catch_unwind(AssertUnwindSafe(|| carry_out(&order, file, fonts)))
            .unwrap_or(Err(RenderError::Crashed));
        match answer {
            Ok((done, bytes)) => {
                line.send(&Answer::Ok(done))?;
                for rendition in bytes {
                    line.send_bytes(&rendition)?;
                }
            }
            Err(error) => line.send(&Answer::Err(error))?,
        }
    }
    Ok(())
}

fn carry_out(order: &Order, mut file: File, fonts: &Fonts) -> Result<(Done, Bytes), RenderError> {
    let mut head = Vec::with_capacity(HEAD);
    (&mut file).take(HEAD as u64).read_to_end(&mut head).map_err(RenderError::broken)?;
    file.rewind().map_err(RenderError::broken)?;
    let kind = Kind::of(&head, &order.request.media_type).ok_or(RenderError::Unsupported)?;
    drop(head);
    let outputs = &order.request.outputs;
    let longest = outputs.iter().map(|output| output.max_side).max().unwrap_or_default().max(1);
    let animation = outputs.iter().filter(|output| output.keep_animation).map(|output| output.max_side).max();
    let wanted = decode::Wanted { longest, animation, bounds: order.bounds };
    let source = decode::decode(kind, file, &wanted, fonts)?;
    let (width, height) = source.shown_size();
    let made = make_all(&source, order)?;
    let mut announced = Vec::with_capacity(made.len());
    let mut bytes = Vec::with_capacity(made.len());
    for rendition in made {
        announced.push(Announced {
            width: rendition.width,
            height: rendition.height,
            format: rendition.format,
            is_animated: rendition.is_animated,
            length: rendition.bytes.len(),
        });
        bytes.push(rendition.bytes);
    }
    Ok((Done { source_width: width, source_height: height, renditions: announced }, bytes))
}

/// The renditions in the order of the outputs; smaller ones are made from larger ones.
fn make_all(source: &Source, order: &Order) -> Result<Vec<super::Rendition>, RenderError> {
    let outputs = &order.request.outputs;
    let mut largest_first: Vec<usize> = (0..outputs.len()).collect();
    largest_first.sort_by_key(|at| std::cmp::Reverse(outputs.get(*at).map(|output| output.max_side)));
    let mut made = vec![None; outputs.len()];
    let mut last: Option<Picture> = None;
    for at in largest_first {
        let (Some(output), Some(place)) = (outputs.get(at), made.get_mut(at)) else { continue };
        // From half the size on nothing is lost by the step in between.
        let from_last = last.as_ref().filter(|last| last.longest() >= output.max_side.saturating_mul(2));
        let picture = match from_last {
            Some(last) => last.scaled_to(output.max_side)?,
            None => source.picture(output.max_side)?,
        };
        let animated = match &source.frames {
            Some(frames) if output.keep_animation => encode::animated(frames, output)?,
            _ => None,
        };
        *place = Some(match animated {
            Some(rendition) => rendition,
            None => encode::still(&picture, output.format)?,
        });
        last = Some(picture);
    }
    Ok(made.into_iter().flatten().collect())
}

/// What is said of a source that has too many pixels.
pub(super) fn too_many_pixels(width: u32, height: u32, limit: u64) -> RenderError {
    RenderError::TooLarge(format!("it has {width} × {height} pixels, and {limit} are the limit"))
}

/// Refuses by what the header says, before room is made for a single pixel.
fn check_size(width: u32, height: u32, bounds: &Bounds) -> Result<(), RenderError> {
    if width == 0 || height == 0 {
        return Err(RenderError::broken("it has no pixels"));
    }
    if u64::from(width) * u64::from(height) > bounds.max_pixels {
        return Err(too_many_pixels(width, height, bounds.max_pixels));
    }
    Ok(())
}
