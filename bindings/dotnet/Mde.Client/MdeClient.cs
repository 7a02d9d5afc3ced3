using System;
using System.Threading;
using System.Threading.Tasks;
using Mde.Native;

namespace Mde
{
    /// <summary>
    /// One identity against one service. Any number of threads may use it at once. Every method blocks its thread until
    /// it is done, and ends at once when its token is cancelled, unless a callback runs. The <c>…Async</c> methods use a separate thread.
    /// </summary>
    /// <remarks>
    /// <para>
    /// All methods throw <see cref="MdeException"/> with the status of the failure, and
    /// <see cref="MdeCanceledException"/> when they were cancelled. An exception of a callback ends the call with
    /// <see cref="MdeCallbackException"/>. Disposing the client ends its calls with <see cref="MdeStatus.Closed"/>.
    /// Arguments that cannot be used are an <see cref="ArgumentException"/>, which <c>…Async</c> methods throw as well
    /// instead of returning a task.
    /// </para>
    /// <para>
    /// A call of the native library blocks a thread, perhaps for an hour. So each task uses one of its own, none of the
    /// pool. Limit the number of packages that are fetched at once.
    /// </para>
    /// <para>All methods are virtual, so that the tests of a program can take the place of the service.</para>
    /// </remarks>
    public class MdeClient : IDisposable
    {
        private readonly ClientHandle? handle;

        /// <summary>Makes a client with a copy of the options. Opens no connection.</summary>
        /// <param name="options">The options.</param>
        /// <exception cref="MdeException">Config: the options do not fit together.</exception>
        public MdeClient(MdeOptions options)
        {
            handle = (options ?? throw new ArgumentNullException(nameof(options))).NewClient();
        }

        /// <summary>For classes that override every method that they use, in the tests of a program.</summary>
        protected MdeClient()
        {
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
        public virtual FetchResult FetchPackage(
            string machineId, string comment, string path, IProgress<ProgressEvent>? progress = null,
            CancellationToken cancellationToken = default)
        {
            return Fetching(machineId, comment, path, progress, cancellationToken).Run();
        }

        /// <summary><see cref="FetchPackage"/> on a separate thread, which it blocks until it is done.</summary>
        /// <param name="machineId">The device id, 40 hexadecimal digits.</param>
        /// <param name="comment">The reason, for the audit trail of the tenant.</param>
        /// <param name="path">The file to make, or a folder that exists. No file is ever replaced.</param>
        /// <param name="progress">Receives progress events on that thread, or where it sends them itself.</param>
        /// <param name="cancellationToken">Ends the call, not the collection.</param>
        public virtual Task<FetchResult> FetchPackageAsync(
            string machineId, string comment, string path, IProgress<ProgressEvent>? progress = null,
            CancellationToken cancellationToken = default)
        {
            return Fetching(machineId, comment, path, progress, cancellationToken).RunAsync();
        }

        private Call<FetchResult> Fetching(
            string machineId, string comment, string path, IProgress<ProgressEvent>? progress,
            CancellationToken cancellationToken)
        {
            var machine = Utf8.Bytes(machineId, nameof(machineId));
            var why = Utf8.Bytes(comment, nameof(comment));
            var file = Utf8.Bytes(path, nameof(path));
            var client = Handle;
            return new Call<FetchResult>(
                client, (CancelHandle cancel, NativeMethods.ProgressFunction? report, out StringHandle json) =>
                    NativeMethods.mde_fetch_package(client, machine, why, file, report, IntPtr.Zero, cancel, out json),
                json => new FetchResult(json), progress, cancellationToken);
        }

        /// <summary>
        /// Fetches the packages of many devices into a folder, at the speed of the quota. The folder holds the job: after
        /// any interruption the same call resumes it, and asks no device twice.
        /// </summary>
        /// <param name="devicesJson">
        /// The devices: a JSON array of device ids, the <see cref="MdeResult.Json"/> of <see cref="FindMachines"/>, or
        /// another form of <c>mde.h</c>. Null resumes the job in the folder.
        /// </param>
        /// <param name="comment">The reason, for the audit trail of the tenant.</param>
        /// <param name="folder">A folder that exists. No file is ever replaced.</param>
        /// <param name="progress">Receives progress events on the thread of the call, or where it sends them itself.</param>
        /// <param name="cancellationToken">Ends the call, but no collection.</param>
        /// <exception cref="MdeException">Incomplete: some devices have no package. <see cref="MdeError.Packages"/> has all of them, whatever ended the call.</exception>
        public virtual PackagesResult FetchPackages(
            string? devicesJson, string comment, string folder, IProgress<ProgressEvent>? progress = null,
            CancellationToken cancellationToken = default)
        {
            return FetchingMany(devicesJson, comment, folder, progress, cancellationToken).Run();
        }

        /// <summary><see cref="FetchPackages"/> on a separate thread, which it blocks until the job has ended.</summary>
        /// <param name="devicesJson">The devices, in JSON; null resumes the job in the folder.</param>
        /// <param name="comment">The reason, for the audit trail of the tenant.</param>
        /// <param name="folder">A folder that exists. No file is ever replaced.</param>
        /// <param name="progress">Receives progress events on that thread, or where it sends them itself.</param>
        /// <param name="cancellationToken">Ends the call, but no collection.</param>
        public virtual Task<PackagesResult> FetchPackagesAsync(
            string? devicesJson, string comment, string folder, IProgress<ProgressEvent>? progress = null,
            CancellationToken cancellationToken = default)
        {
            return FetchingMany(devicesJson, comment, folder, progress, cancellationToken).RunAsync();
        }

        private Call<PackagesResult> FetchingMany(
            string? devicesJson, string comment, string folder, IProgress<ProgressEvent>? progress,
            CancellationToken cancellationToken)
        {
            var devices = devicesJson == null ? null : Utf8.Bytes(devicesJson, nameof(devicesJson));
            var why = Utf8.Bytes(comment, nameof(comment));
            var where = Utf8.Bytes(folder, nameof(folder));
            var client = Handle;
            return new Call<PackagesResult>(
                client, (CancelHandle cancel, NativeMethods.ProgressFunction? report, out StringHandle json) =>
                    NativeMethods.mde_fetch_packages(client, devices, why, where, report, IntPtr.Zero, cancel, out json),
                json => new PackagesResult(json), progress, cancellationToken);
        }

        /// <summary>Finds devices by id, Entra device id, IP address or DNS name, or all of a selection.</summary>
        /// <param name="query">The id, address or name, or a selection: "tag:DMZ and not os:Linux".</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public virtual MachinesResult FindMachines(string query, CancellationToken cancellationToken = default)
        {
            return Finding(query, cancellationToken).Run();
        }

        /// <summary><see cref="FindMachines"/> on a separate thread, which it blocks until it is done.</summary>
        /// <param name="query">As there.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public virtual Task<MachinesResult> FindMachinesAsync(string query, CancellationToken cancellationToken = default)
        {
            return Finding(query, cancellationToken).RunAsync();
        }

        private Call<MachinesResult> Finding(string query, CancellationToken cancellationToken)
        {
            var what = Utf8.Bytes(query, nameof(query));
            var client = Handle;
            return new Call<MachinesResult>(
                client, (CancelHandle cancel, NativeMethods.ProgressFunction? report, out StringHandle json) =>
                    NativeMethods.mde_find_machines(client, what, cancel, out json),
                json => new MachinesResult(json), null, cancellationToken);
        }

        /// <summary>Requests an investigation package, and returns as soon as the service has accepted the request.</summary>
        /// <param name="machineId">The device id, 40 hexadecimal digits.</param>
        /// <param name="comment">The reason, for the audit trail of the tenant.</param>
        /// <param name="cancellationToken">Ends the call, not the collection.</param>
        public virtual CollectResult CollectPackage(
            string machineId, string comment, CancellationToken cancellationToken = default)
        {
            return Collecting(machineId, comment, cancellationToken).Run();
        }

        /// <summary><see cref="CollectPackage"/> on a separate thread, which it blocks until it is done.</summary>
        /// <param name="machineId">The device id, 40 hexadecimal digits.</param>
        /// <param name="comment">The reason, for the audit trail of the tenant.</param>
        /// <param name="cancellationToken">Ends the call, not the collection.</param>
        public virtual Task<CollectResult> CollectPackageAsync(
            string machineId, string comment, CancellationToken cancellationToken = default)
        {
            return Collecting(machineId, comment, cancellationToken).RunAsync();
        }

        private Call<CollectResult> Collecting(string machineId, string comment, CancellationToken cancellationToken)
        {
            var machine = Utf8.Bytes(machineId, nameof(machineId));
            var why = Utf8.Bytes(comment, nameof(comment));
            var client = Handle;
            return new Call<CollectResult>(
                client, (CancelHandle cancel, NativeMethods.ProgressFunction? report, out StringHandle json) =>
                    NativeMethods.mde_collect_package(client, machine, why, cancel, out json),
                json => new CollectResult(json), null, cancellationToken);
        }

        /// <summary>Reads one machine action.</summary>
        /// <param name="actionId">Its GUID.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public virtual MachineActionResult GetAction(string actionId, CancellationToken cancellationToken = default)
        {
            return Getting(actionId, cancellationToken).Run();
        }

        /// <summary><see cref="GetAction"/> on a separate thread, which it blocks until it is done.</summary>
        /// <param name="actionId">Its GUID.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public virtual Task<MachineActionResult> GetActionAsync(
            string actionId, CancellationToken cancellationToken = default)
        {
            return Getting(actionId, cancellationToken).RunAsync();
        }

        private Call<MachineActionResult> Getting(string actionId, CancellationToken cancellationToken)
        {
            var action = Utf8.Bytes(actionId, nameof(actionId));
            var client = Handle;
            return new Call<MachineActionResult>(
                client, (CancelHandle cancel, NativeMethods.ProgressFunction? report, out StringHandle json) =>
                    NativeMethods.mde_get_action(client, action, cancel, out json),
                json => new MachineActionResult(json), null, cancellationToken);
        }

        /// <summary>Lists machine actions from all pages, newest first.</summary>
        /// <param name="odataFilter">For example <c>status eq 'Pending'</c>; "" for all.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public virtual MachineActionsResult ListActions(string odataFilter, CancellationToken cancellationToken = default)
        {
            return Listing(odataFilter, cancellationToken).Run();
        }

        /// <summary><see cref="ListActions"/> on a separate thread, which it blocks until it is done.</summary>
        /// <param name="odataFilter">For example <c>status eq 'Pending'</c>; "" for all.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public virtual Task<MachineActionsResult> ListActionsAsync(
            string odataFilter, CancellationToken cancellationToken = default)
        {
            return Listing(odataFilter, cancellationToken).RunAsync();
        }

        private Call<MachineActionsResult> Listing(string odataFilter, CancellationToken cancellationToken)
        {
            var filter = Utf8.Bytes(odataFilter, nameof(odataFilter));
            var client = Handle;
            return new Call<MachineActionsResult>(
                client, (CancelHandle cancel, NativeMethods.ProgressFunction? report, out StringHandle json) =>
                    NativeMethods.mde_list_actions(client, filter, cancel, out json),
                json => new MachineActionsResult(json), null, cancellationToken);
        }

        /// <summary>Waits until a machine action has succeeded. Throws with a status of its own for each other end.</summary>
        /// <param name="actionId">Its GUID.</param>
        /// <param name="progress">Receives the state at every poll.</param>
        /// <param name="cancellationToken">Ends the call, not the action.</param>
        public virtual MachineActionResult WaitAction(
            string actionId, IProgress<ProgressEvent>? progress = null, CancellationToken cancellationToken = default)
        {
            return Waiting(actionId, progress, cancellationToken).Run();
        }

        /// <summary><see cref="WaitAction"/> on a separate thread, which it blocks until it is done.</summary>
        /// <param name="actionId">Its GUID.</param>
        /// <param name="progress">Receives the state at every poll.</param>
        /// <param name="cancellationToken">Ends the call, not the action.</param>
        public virtual Task<MachineActionResult> WaitActionAsync(
            string actionId, IProgress<ProgressEvent>? progress = null, CancellationToken cancellationToken = default)
        {
            return Waiting(actionId, progress, cancellationToken).RunAsync();
        }

        private Call<MachineActionResult> Waiting(
            string actionId, IProgress<ProgressEvent>? progress, CancellationToken cancellationToken)
        {
            var action = Utf8.Bytes(actionId, nameof(actionId));
            var client = Handle;
            return new Call<MachineActionResult>(
                client, (CancelHandle cancel, NativeMethods.ProgressFunction? report, out StringHandle json) =>
                    NativeMethods.mde_wait_action(client, action, report, IntPtr.Zero, cancel, out json),
                json => new MachineActionResult(json), progress, cancellationToken);
        }

        /// <summary>Cancels a machine action, and waits until it has ended.</summary>
        /// <param name="actionId">Its GUID.</param>
        /// <param name="comment">The reason, for the audit trail of the tenant.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public virtual CancelActionResult CancelAction(
            string actionId, string comment, CancellationToken cancellationToken = default)
        {
            return Cancelling(actionId, comment, cancellationToken).Run();
        }

        /// <summary><see cref="CancelAction"/> on a separate thread, which it blocks until it is done.</summary>
        /// <param name="actionId">Its GUID.</param>
        /// <param name="comment">The reason, for the audit trail of the tenant.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public virtual Task<CancelActionResult> CancelActionAsync(
            string actionId, string comment, CancellationToken cancellationToken = default)
        {
            return Cancelling(actionId, comment, cancellationToken).RunAsync();
        }

        private Call<CancelActionResult> Cancelling(string actionId, string comment, CancellationToken cancellationToken)
        {
            var action = Utf8.Bytes(actionId, nameof(actionId));
            var why = Utf8.Bytes(comment, nameof(comment));
            var client = Handle;
            return new Call<CancelActionResult>(
                client, (CancelHandle cancel, NativeMethods.ProgressFunction? report, out StringHandle json) =>
                    NativeMethods.mde_cancel_action(client, action, why, cancel, out json),
                json => new CancelActionResult(json), null, cancellationToken);
        }

        /// <summary>Downloads the package of a finished collection. The file appears at its path only after it was checked.</summary>
        /// <param name="actionId">The GUID of the collection.</param>
        /// <param name="path">The file to make, or a folder that exists. No file is ever replaced.</param>
        /// <param name="progress">Receives progress events.</param>
        /// <param name="cancellationToken">Ends the call; the same call resumes.</param>
        public virtual PackageResult DownloadPackage(
            string actionId, string path, IProgress<ProgressEvent>? progress = null,
            CancellationToken cancellationToken = default)
        {
            return Downloading(actionId, path, progress, cancellationToken).Run();
        }

        /// <summary><see cref="DownloadPackage"/> on a separate thread, which it blocks until it is done.</summary>
        /// <param name="actionId">The GUID of the collection.</param>
        /// <param name="path">The file to make, or a folder that exists. No file is ever replaced.</param>
        /// <param name="progress">Receives progress events.</param>
        /// <param name="cancellationToken">Ends the call; the same call resumes.</param>
        public virtual Task<PackageResult> DownloadPackageAsync(
            string actionId, string path, IProgress<ProgressEvent>? progress = null,
            CancellationToken cancellationToken = default)
        {
            return Downloading(actionId, path, progress, cancellationToken).RunAsync();
        }

        private Call<PackageResult> Downloading(
            string actionId, string path, IProgress<ProgressEvent>? progress, CancellationToken cancellationToken)
        {
            var action = Utf8.Bytes(actionId, nameof(actionId));
            var file = Utf8.Bytes(path, nameof(path));
            var client = Handle;
            return new Call<PackageResult>(
                client, (CancelHandle cancel, NativeMethods.ProgressFunction? report, out StringHandle json) =>
                    NativeMethods.mde_download_package(client, action, file, report, IntPtr.Zero, cancel, out json),
                json => new PackageResult(json), progress, cancellationToken);
        }

        /// <summary>Gets the link of a package for another downloader. It is valid for about a minute.</summary>
        /// <param name="actionId">The GUID of the collection.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public virtual PackageUriResult GetPackageUri(string actionId, CancellationToken cancellationToken = default)
        {
            return Linking(actionId, cancellationToken).Run();
        }

        /// <summary><see cref="GetPackageUri"/> on a separate thread, which it blocks until it is done.</summary>
        /// <param name="actionId">The GUID of the collection.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public virtual Task<PackageUriResult> GetPackageUriAsync(
            string actionId, CancellationToken cancellationToken = default)
        {
            return Linking(actionId, cancellationToken).RunAsync();
        }

        private Call<PackageUriResult> Linking(string actionId, CancellationToken cancellationToken)
        {
            var action = Utf8.Bytes(actionId, nameof(actionId));
            var client = Handle;
            return new Call<PackageUriResult>(
                client, (CancelHandle cancel, NativeMethods.ProgressFunction? report, out StringHandle json) =>
                    NativeMethods.mde_get_package_uri(client, action, cancel, out json),
                json => new PackageUriResult(json), null, cancellationToken);
        }

        /// <summary>Reports how much of each quota is used, and when the next call could be sent. Sends nothing.</summary>
        public virtual QuotaResult GetQuota()
        {
            var client = Handle;
            return new Call<QuotaResult>(
                client, (CancelHandle cancel, NativeMethods.ProgressFunction? report, out StringHandle json) =>
                    NativeMethods.mde_get_quota(client, out json),
                json => new QuotaResult(json), null, CancellationToken.None).Run();
        }

        /// <summary>
        /// Checks whom the client signs in as, what that identity may do, and how the hosts are reached. Changes nothing.
        /// </summary>
        /// <param name="cancellationToken">Ends the call.</param>
        /// <returns>What it found, also if a step has failed: see <see cref="AccessResult.IsOk"/>.</returns>
        public virtual AccessResult CheckAccess(CancellationToken cancellationToken = default)
        {
            return Checking(cancellationToken).Run();
        }

        /// <summary><see cref="CheckAccess"/> on a separate thread, which it blocks until it is done.</summary>
        /// <param name="cancellationToken">Ends the call.</param>
        /// <returns>What it found, also if a step has failed.</returns>
        public virtual Task<AccessResult> CheckAccessAsync(CancellationToken cancellationToken = default)
        {
            return Checking(cancellationToken).RunAsync();
        }

        private Call<AccessResult> Checking(CancellationToken cancellationToken)
        {
            var client = Handle;
            return new Call<AccessResult>(
                client, (CancelHandle cancel, NativeMethods.ProgressFunction? report, out StringHandle json) =>
                    NativeMethods.mde_check_access(client, cancel, out json),
                json => new AccessResult(json), null, cancellationToken);
        }

        /// <summary>Refuses new calls, ends running ones with <see cref="MdeStatus.Closed"/> and waits for them.</summary>
        /// <param name="timeout">How long to wait at most.</param>
        /// <returns>Whether all have ended.</returns>
        /// <exception cref="InvalidOperationException">A callback called this, or a receiver of log lines.</exception>
        public virtual bool Shutdown(TimeSpan timeout)
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
                throw Failure.Of(status, null);
            }
            return status == (int)MdeStatus.Ok;
        }

        /// <summary>
        /// Ends running calls with <see cref="MdeStatus.Closed"/>, without waiting for them. The native client is freed
        /// when the last of them has ended. In a callback it ends no call, since the native library refuses that.
        /// </summary>
        public void Dispose()
        {
            Dispose(true);
            GC.SuppressFinalize(this);
        }

        /// <summary>For classes that hold more.</summary>
        /// <param name="disposing">Always true: no finalizer calls this.</param>
        protected virtual void Dispose(bool disposing)
        {
            if (!disposing || handle == null)
            {
                return;
            }
            if (!Frame.InCallback && !handle.IsClosed)
            {
                try
                {
                    // It would be refused only in a callback.
                    _ = NativeMethods.mde_client_shutdown(handle, 0);
                }
                catch (ObjectDisposedException)
                {
                    // Another thread has disposed it.
                }
            }
            handle.Dispose();
        }

        private ClientHandle Handle =>
            handle == null ? throw new InvalidOperationException("This client was made without options; override the method.")
            : handle.IsClosed ? throw new ObjectDisposedException(nameof(MdeClient))
            : handle;
    }
}
