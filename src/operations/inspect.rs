//! Checks a package on disk, without a client and a network.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crate::call::{Call, Cancel};
use crate::error::{Error, Result, Stage};
use crate::operations::unsafe_package;
use crate::package_zip::{self, InspectedPackage};
use crate::progress::{Event, OnProgress, Reporter};
use crate::status::Status;
use crate::text::json;

/// Checks a package on disk and lists its contents, without unpacking it.
///
/// It reads every byte twice: to compare each entry with its checksum, and for the SHA-256 of the file. `progress`
/// receives [`Event::Verifying`] with the bytes of each reading.
///
/// # Errors
/// [`Status::Integrity`]: the zip is damaged. The message names the entry and the problem. [`Status::Unsafe`]: it is
/// whole, but could do harm where it is unpacked; [`Error::package`] has the whole list. [`Status::File`]: `path` is not a file, or cannot be read. [`Status::Cancelled`], [`Status::Deadline`]:
/// `cancel` or `progress` ended the call.
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
    let on_read = |bytes, total| {
        let now = Instant::now();
        call.check_at(now).map_err(stopped)?;
        reporter.borrow_mut().steady(now, || verifying(bytes, total))
    };
    let package = package_zip::inspect(path.as_ref(), &on_read)?;
    reporter.borrow_mut().step(&verifying(package.bytes, package.bytes))?;
    if package.contents.unsafe_count > 0 {
        return Err(unsafe_package::error(&package.contents).with_package(json::text(&package)));
    }
    Ok(package)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_cancel_handle_past_its_deadline_ends_the_call_before_the_file_is_opened() {
        let over = Cancel::new(Some(Duration::ZERO));
        let error = inspect_package("/nowhere", None, Some(&over)).unwrap_err();
        assert_eq!((error.status(), error.stage()), (Status::Deadline, Some(Stage::Verify)));
        assert!(error.message().contains("cancel handle"), "{}", error.message());
    }

    #[test]
    fn a_file_that_cannot_be_opened_reports_no_progress() {
        let mut progress = |_: &Event<'_>| -> ControlFlow<()> { panic!("there is no progress") };
        let error = inspect_package("/nowhere", Some(&mut progress), None).unwrap_err();
        assert_eq!(error.status(), Status::File);
    }
}
