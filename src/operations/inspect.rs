//! Checking a package on disk: no client, no network.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::call::{Call, Cancel};
use crate::error::{Error, Result, Stage};
use crate::package_zip::{self, InspectedPackage};
use crate::progress::{Event, OnProgress, Reporter};
use crate::status::Status;

/// Checks a package on disk and lists what is in it, without unpacking it. Reads every byte twice: to compare each entry
/// with its checksum, and for the SHA-256 of the file. `progress` gets [`Event::Verifying`], which counts each reading.
///
/// # Errors
/// [`Status::Integrity`]: the zip is damaged, or made to do harm where it is unpacked; the message says which entry and
/// what is wrong. [`Status::File`]: it is no file, or cannot be read. [`Status::Cancelled`], [`Status::Deadline`]:
/// `cancel` or `progress` ended it.
pub fn inspect_package(
    path: impl AsRef<Path>,
    progress: Option<&mut OnProgress<'_>>,
    cancel: Option<&Cancel>,
) -> Result<InspectedPackage> {
    let call = Call::begin(&Arc::default(), None, cancel);
    let stopped = |stop| {
        let error = Error::from(stop).with_stage(Stage::Verify);
        match error.status() {
            Status::Deadline => error.with_note("raise the time limit of its cancel handle"),
            _ => error,
        }
    };
    call.check().map_err(stopped)?;
    let reporter = RefCell::new(Reporter::new(progress));
    let verifying = |bytes, total| Event::Verifying { action_id: "", bytes, total };
    let watch = |bytes, total| {
        let now = Instant::now();
        call.check_at(now).map_err(stopped)?;
        reporter.borrow_mut().steady(now, || verifying(bytes, total))
    };
    let package = package_zip::inspect(path.as_ref(), &watch)?;
    reporter.borrow_mut().step(&verifying(package.bytes, package.bytes))?;
    Ok(package)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_handle_whose_time_is_over_ends_it_before_the_file_is_opened() {
        let over = Cancel::new(Some(Duration::ZERO));
        let error = inspect_package("/nowhere", None, Some(&over)).unwrap_err();
        assert_eq!((error.status(), error.stage()), (Status::Deadline, Some(Stage::Verify)));
        assert!(error.message().contains("cancel handle"), "{}", error.message());
    }

    #[test]
    fn a_file_that_cannot_be_opened_tells_no_progress() {
        let mut told = |_: &Event<'_>| -> ControlFlow<()> { panic!("there is nothing to tell") };
        let error = inspect_package("/nowhere", Some(&mut told), None).unwrap_err();
        assert_eq!(error.status(), Status::File);
    }
}
