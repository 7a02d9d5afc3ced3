using System;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;
using Mde.Native;

namespace Mde
{
    /// <summary>The native library, and the functions that need no client.</summary>
    public static partial class MdeLibrary
    {
        /// <summary>The ABI that this binding is written for: MDE_HEADER_ABI_VERSION of <c>mde.h</c>.</summary>
        public const int AbiVersion = 0;

        private static readonly object Loading = new object();
        private static volatile bool loaded;

        /// <summary>The version of the native library, for example "0.1.0".</summary>
        public static string Version
        {
            get
            {
                Load();
                return Utf8.Read(NativeMethods.mde_version());
            }
        }

        /// <summary>The library's name of a status, for example "rate_limited"; "unknown" for other numbers.</summary>
        /// <param name="status">The status.</param>
        public static string GetStatusName(MdeStatus status)
        {
            Load();
            return Utf8.Read(NativeMethods.mde_status_name((int)status));
        }

        /// <summary>
        /// Loads the native library and checks its ABI. All other methods do this by themselves.
        /// </summary>
        /// <exception cref="DllNotFoundException">The runtime finds no native library, or another one of this name.</exception>
        /// <exception cref="BadImageFormatException">It is for processors of another kind than this process.</exception>
        /// <exception cref="NotSupportedException">It has another ABI.</exception>
        public static void Load()
        {
            if (loaded)
            {
                return;
            }
            // No other thread may call before the first one has prepared the loading.
            lock (Loading)
            {
                PrepareLoading();
                var found = FoundAbi();
                if (found != AbiVersion)
                {
                    throw new NotSupportedException(string.Format(
                        CultureInfo.InvariantCulture,
                        "The native library mde has the ABI version {0}; this binding needs {1}. Install the library of the same release.",
                        found, AbiVersion));
                }
                loaded = true;
            }
        }

        /// <summary>Checks a package on disk and lists what is in it. Nothing is sent and nothing written.</summary>
        /// <param name="path">A regular file.</param>
        /// <param name="progress">Receives progress events on the thread of the call, or where it sends them itself.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        /// <exception cref="MdeException">Integrity: it is damaged. Unsafe: it could do harm where it is unpacked, and the error has the whole list. File: it cannot be read.</exception>
        public static PackageResult InspectPackage(
            string path, IProgress<ProgressEvent>? progress = null, CancellationToken cancellationToken = default)
        {
            return Inspecting(path, progress, cancellationToken).Run();
        }

        /// <summary><see cref="InspectPackage"/> on a separate thread, which it blocks until it is done.</summary>
        /// <param name="path">A regular file.</param>
        /// <param name="progress">Receives progress events on that thread, or where it sends them itself.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public static Task<PackageResult> InspectPackageAsync(
            string path, IProgress<ProgressEvent>? progress = null, CancellationToken cancellationToken = default)
        {
            return Inspecting(path, progress, cancellationToken).RunAsync();
        }

        private static Call<PackageResult> Inspecting(
            string path, IProgress<ProgressEvent>? progress, CancellationToken cancellationToken)
        {
            var file = Utf8.Bytes(path, nameof(path));
            Load();
            return new Call<PackageResult>(
                null, (CancelHandle cancel, NativeMethods.ProgressFunction? report, out StringHandle json) =>
                    NativeMethods.mde_inspect_package(file, report, IntPtr.Zero, cancel, out json),
                json => new PackageResult(json), progress, cancellationToken);
        }

        /// <summary>
        /// Returns how the job of <see cref="MdeClient.FetchPackages"/> in a folder stands, also while a call works on it.
        /// Nothing is sent and nothing written.
        /// </summary>
        /// <param name="folder">The folder of the job.</param>
        /// <exception cref="MdeException">File: the folder has no job, or its journal cannot be read.</exception>
        public static PackagesResult ReadPackages(string folder)
        {
            var where = Utf8.Bytes(folder, nameof(folder));
            Load();
            return new Call<PackagesResult>(
                null, (CancelHandle cancel, NativeMethods.ProgressFunction? report, out StringHandle json) =>
                    NativeMethods.mde_read_packages(where, out json),
                json => new PackagesResult(json), null, CancellationToken.None).Run();
        }

        private static uint FoundAbi()
        {
            try
            {
                return NativeMethods.mde_abi_version();
            }
            catch (EntryPointNotFoundException error)
            {
                throw new DllNotFoundException(
                    "The file that was loaded as the native library mde is another one: it has no function mde_abi_version. "
                        + "Put mde.dll or libmde.so of the release archive beside the program.", error);
            }
            catch (Exception error) when (error is DllNotFoundException || error is BadImageFormatException)
            {
                // The runtime's own message does not say it on every system.
                var (file, kind) = LibraryFile.OfAnotherKind();
                if (file == null)
                {
                    throw;
                }
                throw new BadImageFormatException(
                    "The native library " + file + " is for " + kind + " processors, and this process is for "
                        + RuntimeInformation.ProcessArchitecture + ". Install the library of the archive for it.",
                    file, error);
            }
        }

        // Adds names to search for, on runtimes that allow it. Called with the lock, and again if loading failed.
        static partial void PrepareLoading();

        internal static T NotNull<T>(T handle) where T : SafeHandle
        {
            return handle.IsInvalid
                ? throw new InvalidOperationException("The native library could not make a handle.")
                : handle;
        }
    }
}
