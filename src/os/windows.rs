//! What the library needs of Windows and the standard library does not offer.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::{AsRawHandle, FromRawSocket, OwnedSocket, RawSocket};
use std::path::{Component, Path, Prefix};
use std::ptr;
use std::sync::Once;
use std::time::{Duration, Instant};

use super::file::{Access, Links};
use super::patience::patiently;
use windows_sys::Win32::Networking::WinSock::{
    INVALID_SOCKET, SOCK_STREAM, WSA_FLAG_NO_HANDLE_INHERIT, WSA_FLAG_OVERLAPPED, WSASocketW,
};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT,
    FILE_READ_ATTRIBUTES, GetDiskFreeSpaceExW, GetFileInformationByHandle, MOVEFILE_WRITE_THROUGH,
    MoveFileExW,
};
use windows_sys::Win32::System::LibraryLoader::{
    GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_PIN, GetModuleHandleExW,
};

/// Keeps the library in memory for the life of the process, as its link flags do on Linux: a name lookup that
/// was abandoned may still be running in it when the host unloads it.
pub(crate) fn pin() {
    static PINNED: Once = Once::new();
    PINNED.call_once(|| {
        let flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_PIN;
        let mut module = ptr::null_mut();
        // SAFETY: with this flag the second argument is an address inside of the module, not a string; the third is
        // valid for the call.
        unsafe { GetModuleHandleExW(flags, (pin as fn() as *const ()).cast(), &raw mut module) };
    });
}

/// A TCP socket that programs started by the host do not inherit.
pub(crate) fn tcp_socket(family: i32) -> io::Result<OwnedSocket> {
    let flags = WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT;
    // SAFETY: only numbers, and a null pointer that the function allows.
    let socket = unsafe { WSASocketW(family, SOCK_STREAM, 0, ptr::null(), 0, flags) };
    if socket == INVALID_SOCKET {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new socket, which nobody else has.
    Ok(unsafe { OwnedSocket::from_raw_socket(socket as RawSocket) })
}

fn about(file: &File) -> io::Result<BY_HANDLE_FILE_INFORMATION> {
    let mut about = BY_HANDLE_FILE_INFORMATION::default();
    // SAFETY: the handle is open as long as `file` is, and the other pointer valid for the call.
    match unsafe { GetFileInformationByHandle(file.as_raw_handle(), &raw mut about) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(about),
    }
}

pub(crate) fn open(
    mut options: OpenOptions,
    _: Access,
    links: Links,
    path: &Path,
) -> io::Result<File> {
    if links == Links::Refused {
        // Opens a link itself instead of its target.
        options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT);
    }
    options.open(path)
}

/// On Windows the folder decides who can create files in it.
pub(super) fn is_own(_: &File) -> io::Result<()> {
    Ok(())
}

pub(super) fn is_trusted(_: &File) -> io::Result<()> {
    Ok(())
}

pub(super) fn is_shared(_: &File) -> io::Result<()> {
    Ok(())
}

/// A file has the rights of its folder.
pub(crate) fn private_unless_shared(_: &File) -> io::Result<()> {
    Ok(())
}

pub(super) fn make_private(_: &File) -> io::Result<()> {
    Ok(())
}

/// Whether the path still names this file.
pub(crate) fn is_still_at(file: &File, path: &Path, links: Links) -> bool {
    let id = |file: &File| {
        let about = about(file).ok()?;
        Some((about.dwVolumeSerialNumber, about.nFileIndexHigh, about.nFileIndexLow))
    };
    let flags = match links {
        Links::Followed => FILE_FLAG_BACKUP_SEMANTICS,
        Links::Refused => FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT,
    };
    let there = OpenOptions::new().access_mode(FILE_READ_ATTRIBUTES).custom_flags(flags).open(path);
    there.is_ok_and(|there| id(file).is_some_and(|ours| id(&there) == Some(ours)))
}

/// Whether the file has more names than one; what is written to it shows under all of them.
pub(crate) fn has_other_names(file: &File) -> bool {
    about(file).is_ok_and(|about| about.nNumberOfLinks > 1)
}

/// The bytes that the volume of the file has left for this user.
pub(crate) fn free_space(_: &File, path: &Path) -> Option<u64> {
    let folder = wide(path.parent()?).ok()?;
    let mut room = 0;
    let (path, none) = (folder.as_ptr(), ptr::null_mut());
    // SAFETY: a path that ends with zero, a number valid for the call, and null pointers that the function allows.
    match unsafe { GetDiskFreeSpaceExW(path, &raw mut room, none, none) } {
        0 => None,
        _ => Some(room),
    }
}

/// Gives a file another name on its volume, which nothing may have. The system does it at once or not at all, on
/// every file system; `std::fs::rename` would replace what is there.
pub(super) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (wide(from)?, wide(to)?);
    // SAFETY: two paths that end with zero.
    match unsafe { MoveFileExW(from.as_ptr(), to.as_ptr(), MOVEFILE_WRITE_THROUGH) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Replaces a file by another one. On file systems other than NTFS the file must not be open, and before Windows 10
/// on NTFS too. It is tried for a moment only, since other processes wait for the file.
pub(crate) fn replace(new: &Path, path: &Path) -> io::Result<()> {
    const MOMENT: Duration = Duration::from_millis(150);
    let until = Instant::now() + MOMENT;
    let pause = |nap| {
        std::thread::sleep(nap);
        Instant::now() < until
    };
    patiently(&pause, &mut || std::fs::rename(new, path))
}

/// Extended attributes are not used on Windows.
pub(crate) fn set_attribute(_: &File, _: &str, _: &str) -> bool {
    false
}

pub(crate) fn attribute(_: &File, _: &str) -> Option<String> {
    None
}

/// Windows does not keep the rights in a file's metadata.
#[derive(PartialEq, Eq)]
pub(crate) struct Rights;

pub(crate) fn rights(_: &Metadata) -> Rights {
    Rights
}

/// A new file has the rights that its folder gives it.
pub(crate) fn keep_rights(new: &File, old: &Metadata) -> Result<(), String> {
    new.set_permissions(old.permissions()).map_err(|_| "is not read-only as it was".to_owned())
}

/// An absolute path for the system, which takes long ones only in its own notation.
fn wide(path: &Path) -> io::Result<Vec<u16>> {
    /// `MAX_PATH`, less a short name that folders need room for.
    const SHORT: usize = 260 - 12;

    let path = std::path::absolute(path)?;
    let mut wide: Vec<u16> = path.as_os_str().encode_wide().collect();
    if wide.contains(&0) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a path with a zero in it"));
    }
    if wide.len() >= SHORT {
        let (start, rest) = match path.components().next() {
            Some(Component::Prefix(prefix)) => match prefix.kind() {
                Prefix::Disk(_) => (r"\\?\", 0),
                Prefix::UNC(..) => (r"\\?\UNC\", 2),
                _ => ("", 0),
            },
            _ => ("", 0),
        };
        wide.splice(..rest, start.encode_utf16());
    }
    wide.push(0);
    Ok(wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_are_written_as_the_system_wants_them() {
        let shown = |path: &str| String::from_utf16(&wide(Path::new(path)).unwrap()).unwrap();
        let long = "x".repeat(100);
        assert_eq!(shown(r"C:\a\b"), "C:\\a\\b\0");
        let folders = format!(r"{long}\{long}\{long}");
        assert_eq!(shown(&format!(r"C:\{folders}")), format!("\\\\?\\C:\\{folders}\0"));
        assert_eq!(shown(&format!(r"\\s\f\{folders}")), format!("\\\\?\\UNC\\s\\f\\{folders}\0"));
        let already = format!(r"\\?\C:\{folders}");
        assert_eq!(shown(&already), format!("{already}\0"));
    }

    #[test]
    fn a_file_is_told_from_the_next_one_of_its_name() {
        let path = std::env::temp_dir().join(format!("mde-same-{:016x}", fastrand::u64(..)));
        let is_at = |file: &File, path: &Path| {
            [Links::Followed, Links::Refused].map(|links| is_still_at(file, path, links))
                == [true; 2]
        };
        let first = File::create(&path).unwrap();
        assert!(is_at(&first, &path) && !has_other_names(&first));
        let other = path.with_extension("other");
        rename_new(&path, &other).unwrap();
        assert!(!is_at(&first, &path));
        // Opened anew: Wine knows no volume of a file that was renamed.
        drop(first);
        let first = File::open(&other).unwrap();
        assert!(is_at(&first, &other));
        let second = File::create(&path).unwrap();
        assert!(!is_at(&first, &path) && is_at(&second, &path));
        // Nothing is replaced.
        let error = rename_new(&path, &other).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(free_space(&second, &path).is_some_and(|bytes| bytes > 0));
        drop((first, second));
        for path in [path, other] {
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_file_that_a_scanner_has_open_is_renamed_or_replaced_once_it_is_closed() {
        use super::super::{rename, state_file};
        let folder = std::env::temp_dir().join(format!("mde-busy-{:016x}", fastrand::u64(..)));
        std::fs::create_dir(&folder).unwrap();
        let pause = |nap| {
            std::thread::sleep(nap);
            true
        };
        let (from, to, state) = (folder.join("from"), folder.join("to"), folder.join("state"));
        std::fs::write(&from, "package").unwrap();
        state_file::write(&state, &vec![1], &pause).unwrap();
        for path in [&from, &state] {
            let held = OpenOptions::new().read(true).share_mode(0).open(path).unwrap();
            std::thread::scope(|scope| {
                // Longer than the first half dozen attempts.
                scope.spawn(move || {
                    std::thread::sleep(Duration::from_millis(500));
                    drop(held);
                });
                match path == &from {
                    true => rename::at_once(&from, &to, &pause).unwrap(),
                    false => state_file::write(&state, &vec![2], &pause).unwrap(),
                }
            });
        }
        assert_eq!(std::fs::read(&to).unwrap(), b"package");
        assert_eq!(state_file::read(&state), Some(vec![2]));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
