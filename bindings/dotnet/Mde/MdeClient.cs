using System;
using System.Threading;
using Mde.Native;

namespace Mde
{
    /// <summary>
    /// One identity against one service. Any number of threads may use it at once. Every method blocks its thread until
    /// it is done, and ends at once when its token is cancelled. The <c>…Async</c> methods use a separate thread.
    /// </summary>
    /// <remarks>
    /// All methods throw <see cref="MdeException"/> with the status of the failure, and
    /// <see cref="MdeCanceledException"/> when they were cancelled. An exception of a progress receiver ends the call,
    /// which throws it again; <see cref="MdeError.Of"/> then has the call's own error. Disposing the client ends its
    /// calls with <see cref="MdeStatus.Closed"/>.
    /// </remarks>
    public sealed partial class MdeClient : IDisposable
    {
        private readonly ClientHandle handle;

        /// <summary>Makes a client with a copy of the options. Opens no connection.</summary>
        /// <param name="options">The options.</param>
        /// <exception cref="MdeException">Config: the options do not fit together.</exception>
        public MdeClient(MdeOptions options)
        {
            handle = (options ?? throw new ArgumentNullException(nameof(options))).NewClient();
        }

        /// <summary>
        /// Collects a package from a device, waits for it, downloads and checks it. After any interruption the same
        /// call resumes, and starts no second collection.
        /// </summary>
        /// <param name="machineId">The device id, 40 hexadecimal digits.</param>
        /// <param name="comment">The reason, for the audit trail of the tenant.</param>
        /// <param name="path">The file to make, or a folder that exists. No file is ever replaced.</param>
        /// <param name="progress">Receives progress events on the thread of the call, or where it sends them itself.</param>
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
        /// <param name="query">The id, address or name.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public MachinesResult FindMachines(
            string query, CancellationToken cancellationToken = default(CancellationToken))
        {
            var what = Utf8.Bytes(query, nameof(query));
            return Run<MachinesResult>(null, cancellationToken,
                (CancelHandle cancel, NativeMethods.ProgressFunction report, out StringHandle json) =>
                    NativeMethods.mde_find_machines(handle, what, cancel, out json));
        }

        /// <summary>Requests an investigation package, and returns as soon as the service has accepted the request.</summary>
        /// <param name="machineId">The device id, 40 hexadecimal digits.</param>
        /// <param name="comment">The reason, for the audit trail of the tenant.</param>
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

        /// <summary>Lists machine actions from all pages, newest first.</summary>
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

        /// <summary>Waits until a machine action has succeeded. Throws with a status of its own for each other end.</summary>
        /// <param name="actionId">Its GUID.</param>
        /// <param name="progress">Receives the state at every poll.</param>
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
        /// <param name="comment">The reason, for the audit trail of the tenant.</param>
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

        /// <summary>Downloads the package of a finished collection. The file appears at its path only after it was checked.</summary>
        /// <param name="actionId">The GUID of the collection.</param>
        /// <param name="path">The file to make, or a folder that exists. No file is ever replaced.</param>
        /// <param name="progress">Receives progress events.</param>
        /// <param name="cancellationToken">Ends the call; the same call resumes.</param>
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

        /// <summary>Gets the link of a package for another downloader. It is valid for about a minute.</summary>
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

        /// <summary>Reports how much of each quota is used, and when the next call could be sent. Sends nothing.</summary>
        public QuotaResult GetQuota()
        {
            return Run<QuotaResult>(null, CancellationToken.None,
                (CancelHandle cancel, NativeMethods.ProgressFunction report, out StringHandle json) =>
                    NativeMethods.mde_get_quota(handle, out json));
        }

        /// <summary>Refuses new calls, ends running ones with <see cref="MdeStatus.Closed"/> and waits for them.</summary>
        /// <param name="timeout">How long to wait at most.</param>
        /// <returns>Whether all have ended.</returns>
        /// <exception cref="InvalidOperationException">A callback called this, or a receiver of log lines.</exception>
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
        /// when the last of them has ended. In a callback it ends no call, since the native library refuses that.
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
                    // Another thread has disposed it.
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
