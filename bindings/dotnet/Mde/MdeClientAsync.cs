using System;
using System.Threading;
using System.Threading.Tasks;

namespace Mde
{
    /// <summary>
    /// The same calls as tasks. A call of the native library blocks a thread, perhaps for an hour. So each task here
    /// uses a separate thread, none of the thread pool. Limit the number of packages that are fetched at once.
    /// </summary>
    public sealed partial class MdeClient
    {
        /// <summary><see cref="FetchPackage"/> on a separate thread, which it blocks until it is done.</summary>
        /// <param name="machineId">The device id, 40 hexadecimal digits.</param>
        /// <param name="comment">The reason, for the audit trail of the tenant.</param>
        /// <param name="path">The file to make, or a folder that exists.</param>
        /// <param name="progress">Receives progress events.</param>
        /// <param name="cancellationToken">Ends the call, not the collection.</param>
        public Task<FetchResult> FetchPackageAsync(
            string machineId, string comment, string path, IProgress<ProgressEvent> progress = null,
            CancellationToken cancellationToken = default(CancellationToken))
        {
            return OnItsOwnThread(
                () => FetchPackage(machineId, comment, path, progress, cancellationToken), cancellationToken);
        }

        /// <summary><see cref="FindMachines"/> on a separate thread, which it blocks until it is done.</summary>
        /// <param name="query">The id, address or name.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public Task<MachinesResult> FindMachinesAsync(
            string query, CancellationToken cancellationToken = default(CancellationToken))
        {
            return OnItsOwnThread(() => FindMachines(query, cancellationToken), cancellationToken);
        }

        /// <summary><see cref="CollectPackage"/> on a separate thread, which it blocks until it is done.</summary>
        /// <param name="machineId">The device id, 40 hexadecimal digits.</param>
        /// <param name="comment">The reason, for the audit trail of the tenant.</param>
        /// <param name="cancellationToken">Ends the call, not the collection.</param>
        public Task<CollectResult> CollectPackageAsync(
            string machineId, string comment, CancellationToken cancellationToken = default(CancellationToken))
        {
            return OnItsOwnThread(() => CollectPackage(machineId, comment, cancellationToken), cancellationToken);
        }

        /// <summary><see cref="GetAction"/> on a separate thread, which it blocks until it is done.</summary>
        /// <param name="actionId">Its GUID.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public Task<ActionResult> GetActionAsync(
            string actionId, CancellationToken cancellationToken = default(CancellationToken))
        {
            return OnItsOwnThread(() => GetAction(actionId, cancellationToken), cancellationToken);
        }

        /// <summary><see cref="ListActions"/> on a separate thread, which it blocks until it is done.</summary>
        /// <param name="odataFilter">For example <c>status eq 'Pending'</c>; "" for all.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public Task<ActionsResult> ListActionsAsync(
            string odataFilter, CancellationToken cancellationToken = default(CancellationToken))
        {
            return OnItsOwnThread(() => ListActions(odataFilter, cancellationToken), cancellationToken);
        }

        /// <summary><see cref="WaitAction"/> on a separate thread, which it blocks until it is done.</summary>
        /// <param name="actionId">Its GUID.</param>
        /// <param name="progress">Receives the state at every poll.</param>
        /// <param name="cancellationToken">Ends the call, not the action.</param>
        public Task<ActionResult> WaitActionAsync(
            string actionId, IProgress<ProgressEvent> progress = null,
            CancellationToken cancellationToken = default(CancellationToken))
        {
            return OnItsOwnThread(() => WaitAction(actionId, progress, cancellationToken), cancellationToken);
        }

        /// <summary><see cref="CancelAction"/> on a separate thread, which it blocks until it is done.</summary>
        /// <param name="actionId">Its GUID.</param>
        /// <param name="comment">The reason, for the audit trail of the tenant.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public Task<CancelResult> CancelActionAsync(
            string actionId, string comment, CancellationToken cancellationToken = default(CancellationToken))
        {
            return OnItsOwnThread(() => CancelAction(actionId, comment, cancellationToken), cancellationToken);
        }

        /// <summary><see cref="DownloadPackage"/> on a separate thread, which it blocks until it is done.</summary>
        /// <param name="actionId">The GUID of the collection.</param>
        /// <param name="path">The file to make, or a folder that exists.</param>
        /// <param name="progress">Receives progress events.</param>
        /// <param name="cancellationToken">Ends the call; the same call resumes.</param>
        public Task<PackageResult> DownloadPackageAsync(
            string actionId, string path, IProgress<ProgressEvent> progress = null,
            CancellationToken cancellationToken = default(CancellationToken))
        {
            return OnItsOwnThread(() => DownloadPackage(actionId, path, progress, cancellationToken), cancellationToken);
        }

        /// <summary><see cref="GetPackageUri"/> on a separate thread, which it blocks until it is done.</summary>
        /// <param name="actionId">The GUID of the collection.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public Task<UriResult> GetPackageUriAsync(
            string actionId, CancellationToken cancellationToken = default(CancellationToken))
        {
            return OnItsOwnThread(() => GetPackageUri(actionId, cancellationToken), cancellationToken);
        }

        private static Task<T> OnItsOwnThread<T>(Func<T> call, CancellationToken cancellation)
        {
            if (cancellation.IsCancellationRequested)
            {
                return Task.FromCanceled<T>(cancellation);
            }
            return Task.Factory.StartNew(
                call, cancellation, TaskCreationOptions.LongRunning | TaskCreationOptions.DenyChildAttach,
                TaskScheduler.Default);
        }
    }
}
