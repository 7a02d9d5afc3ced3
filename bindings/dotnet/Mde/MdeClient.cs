using System;
using System.Threading;
using Mde.Native;

namespace Mde
{
    /// <summary>
    /// One identity against one service. Any number of threads may use it at once. Every method blocks its thread until
    /// it is through, and ends at once when its token is cancelled; <c>…Async</c> methods give a thread of their own.
    /// </summary>
    /// <remarks>
    /// All methods throw <see cref="MdeException"/> with the status of what went wrong, and
    /// <see cref="MdeCanceledException"/> when they were cancelled. What a progress receiver throws ends the call and
    /// comes out of it; <see cref="MdeError.Of"/> then says what the call came to. Disposing the client ends its calls with <see cref="MdeStatus.Closed"/>.
    /// </remarks>
    public sealed partial class MdeClient : IDisposable
    {
        private readonly ClientHandle handle;

        /// <summary>A client with a copy of the options. No connection is opened.</summary>
        /// <param name="options">The options.</param>
        /// <exception cref="MdeException">Config: the options do not fit together.</exception>
        public MdeClient(MdeOptions options)
        {
            handle = (options ?? throw new ArgumentNullException(nameof(options))).NewClient();
        }

        /// <summary>
        /// Collects a package from a device, waits for it, downloads and checks it. However it was interrupted, the
        /// same call carries on and starts no second collection.
        /// </summary>
        /// <param name="machineId">The device id, 40 hexadecimal digits.</param>
        /// <param name="comment">Why, for the audit trail of the tenant.</param>
        /// <param name="path">The file to make, or a folder that exists. No file is ever replaced.</param>
        /// <param name="progress">Told how far it is, on the thread of the call where it does not say otherwise.</param>
        /// <param name="cancellationToken">Ends the call, not the collection.</param>
        public FetchResult FetchPackage(
            string machineId, string comment, string path, IProgress<ProgressEvent> progress = null,
            CancellationToken cancellationToken = default(CancellationToken))
        {
            var machine = Utf8.Bytes(machineId, nameof(machineId));
            var why = Utf8.Bytes(comment, nameof(comment));
            var file = Utf8.Bytes(path, nameof(path));
            return Run<FetchResult>(progress, cancellationToken,
                (CancelHandle cancel, NativeMethods.ProgressFunction report, out StringHandle json) =>
                    NativeMethods.mde_fetch_package(handle, machine, why, file, report, IntPtr.Zero, cancel, out json));
        }

        /// <summary>Finds devices by id, Entra device id, IP address or DNS name.</summary>
        /// <param name="query">What to look for.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public MachinesResult FindMachines(
            string query, CancellationToken cancellationToken = default(CancellationToken))
        {
            var what = Utf8.Bytes(query, nameof(query));
            return Run<MachinesResult>(null, cancellationToken,
                (CancelHandle cancel, NativeMethods.ProgressFunction report, out StringHandle json) =>
                    NativeMethods.mde_find_machines(handle, what, cancel, out json));
        }

        /// <summary>Asks for an investigation package, and returns as soon as the service has agreed.</summary>
        /// <param name="machineId">The device id, 40 hexadecimal digits.</param>
        /// <param name="comment">Why, for the audit trail of the tenant.</param>
        /// <param name="cancellationToken">Ends the call, not the collection.</param>
        public CollectResult CollectPackage(
            string machineId, string comment, CancellationToken cancellationToken = default(CancellationToken))
        {
            var machine = Utf8.Bytes(machineId, nameof(machineId));
            var why = Utf8.Bytes(comment, nameof(comment));
            return Run<CollectResult>(null, cancellationToken,
                (CancelHandle cancel, NativeMethods.ProgressFunction report, out StringHandle json) =>
                    NativeMethods.mde_collect_package(handle, machine, why, cancel, out json));
        }

        /// <summary>Reads one machine action.</summary>
        /// <param name="actionId">Its GUID.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public ActionResult GetAction(
            string actionId, CancellationToken cancellationToken = default(CancellationToken))
        {
            var action = Utf8.Bytes(actionId, nameof(actionId));
            return Run<ActionResult>(null, cancellationToken,
                (CancelHandle cancel, NativeMethods.ProgressFunction report, out StringHandle json) =>
                    NativeMethods.mde_get_action(handle, action, cancel, out json));
        }

        /// <summary>Lists machine actions, newest first, all pages of them.</summary>
        /// <param name="odataFilter">For example <c>status eq 'Pending'</c>; "" for all.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public ActionsResult ListActions(
            string odataFilter, CancellationToken cancellationToken = default(CancellationToken))
        {
            var filter = Utf8.Bytes(odataFilter, nameof(odataFilter));
            return Run<ActionsResult>(null, cancellationToken,
                (CancelHandle cancel, NativeMethods.ProgressFunction report, out StringHandle json) =>
                    NativeMethods.mde_list_actions(handle, filter, cancel, out json));
        }

        /// <summary>Waits until a machine action has succeeded. Its other ends have a status each.</summary>
        /// <param name="actionId">Its GUID.</param>
        /// <param name="progress">Told the state at every look.</param>
        /// <param name="cancellationToken">Ends the call, not the action.</param>
        public ActionResult WaitAction(
            string actionId, IProgress<ProgressEvent> progress = null,
            CancellationToken cancellationToken = default(CancellationToken))
        {
            var action = Utf8.Bytes(actionId, nameof(actionId));
            return Run<ActionResult>(progress, cancellationToken,
                (CancelHandle cancel, NativeMethods.ProgressFunction report, out StringHandle json) =>
                    NativeMethods.mde_wait_action(handle, action, report, IntPtr.Zero, cancel, out json));
        }

        /// <summary>Cancels a machine action, and waits until it has ended.</summary>
        /// <param name="actionId">Its GUID.</param>
        /// <param name="comment">Why, for the audit trail of the tenant.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public CancelResult CancelAction(
            string actionId, string comment, CancellationToken cancellationToken = default(CancellationToken))
        {
            var action = Utf8.Bytes(actionId, nameof(actionId));
            var why = Utf8.Bytes(comment, nameof(comment));
            return Run<CancelResult>(null, cancellationToken,
                (CancelHandle cancel, NativeMethods.ProgressFunction report, out StringHandle json) =>
                    NativeMethods.mde_cancel_action(handle, action, why, cancel, out json));
        }

        /// <summary>Downloads the package of a finished collection, checks it, and only then gives it its name.</summary>
        /// <param name="actionId">The GUID of the collection.</param>
        /// <param name="path">The file to make, or a folder that exists. No file is ever replaced.</param>
        /// <param name="progress">Told how far it is.</param>
        /// <param name="cancellationToken">Ends the call; the same call carries on.</param>
        public PackageResult DownloadPackage(
            string actionId, string path, IProgress<ProgressEvent> progress = null,
            CancellationToken cancellationToken = default(CancellationToken))
        {
            var action = Utf8.Bytes(actionId, nameof(actionId));
            var file = Utf8.Bytes(path, nameof(path));
            return Run<PackageResult>(progress, cancellationToken,
                (CancelHandle cancel, NativeMethods.ProgressFunction report, out StringHandle json) =>
                    NativeMethods.mde_download_package(handle, action, file, report, IntPtr.Zero, cancel, out json));
        }

        /// <summary>Gets the link of a package, good for about a minute, for a downloader of your own.</summary>
        /// <param name="actionId">The GUID of the collection.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public UriResult GetPackageUri(
            string actionId, CancellationToken cancellationToken = default(CancellationToken))
        {
            var action = Utf8.Bytes(actionId, nameof(actionId));
            return Run<UriResult>(null, cancellationToken,
                (CancelHandle cancel, NativeMethods.ProgressFunction report, out StringHandle json) =>
                    NativeMethods.mde_get_package_uri(handle, action, cancel, out json));
        }

        /// <summary>How much of each quota is used, and when the next call could go out. Nothing is sent.</summary>
        public QuotaResult GetQuota()
        {
            return Run<QuotaResult>(null, CancellationToken.None,
                (CancelHandle cancel, NativeMethods.ProgressFunction report, out StringHandle json) =>
                    NativeMethods.mde_get_quota(handle, out json));
        }

        /// <summary>Refuses new calls, ends running ones with <see cref="MdeStatus.Closed"/> and waits for them.</summary>
        /// <param name="timeout">How long to wait at most.</param>
        /// <returns>Whether all have ended.</returns>
        /// <exception cref="InvalidOperationException">A callback calls this, a receiver of log lines too.</exception>
        public bool Shutdown(TimeSpan timeout)
        {
            if (Frame.InCallback)
            {
                throw new InvalidOperationException("A callback must not shut a client down.");
            }
            if (timeout < TimeSpan.Zero)
            {
                throw new ArgumentOutOfRangeException(nameof(timeout), timeout, "The time must not be negative.");
            }
            var status = NativeMethods.mde_client_shutdown(Handle, (ulong)timeout.TotalMilliseconds);
            if (status != (int)MdeStatus.Ok && status != (int)MdeStatus.Deadline)
            {
                throw Operation.Failure(status, null, CancellationToken.None);
            }
            return status == (int)MdeStatus.Ok;
        }

        /// <summary>
        /// Ends running calls with <see cref="MdeStatus.Closed"/>, without waiting for them. The native client is freed
        /// when the last of them has ended. In a callback it ends no call, since the native library does not allow that.
        /// </summary>
        public void Dispose()
        {
            if (!Frame.InCallback && !handle.IsClosed)
            {
                try
                {
                    NativeMethods.mde_client_shutdown(handle, 0);
                }
                catch (ObjectDisposedException)
                {
                    // Another thread was quicker.
                }
            }
            handle.Dispose();
        }

        private ClientHandle Handle => handle.IsClosed ? throw new ObjectDisposedException(nameof(MdeClient)) : handle;

        private T Run<T>(IProgress<ProgressEvent> progress, CancellationToken cancellation, Operation.Call call)
            where T : MdeResult
        {
            _ = Handle;
            return Operation.Run<T>(progress, cancellation, call);
        }
    }
}
