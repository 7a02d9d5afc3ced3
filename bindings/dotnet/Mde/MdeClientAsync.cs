using System;
using System.Threading;
using System.Threading.Tasks;

namespace Mde
{
    /// <summary>
    /// The same calls as tasks. The native library blocks a thread for as long as a call lasts, which may be an hour: each
    /// task here takes a thread of its own for that time, and leaves those of the pool alone. Where many packages are
    /// fetched at once, bound their number.
    /// </summary>
    public sealed partial class MdeClient
    {
        /// <summary><see cref="FetchPackage"/> on a thread of its own, which it blocks until it is through.</summary>
        /// <param name="machineId">The device id, 40 hexadecimal digits.</param>
        /// <param name="comment">Why, for the audit trail of the tenant.</param>
        /// <param name="path">The file to make, or a folder that exists.</param>
        /// <param name="progress">Told how far it is.</param>
        /// <param name="cancellationToken">Ends the call, not the collection.</param>
        public Task<FetchResult> FetchPackageAsync(
            string machineId, string comment, string path, IProgress<ProgressEvent> progress = null,
            CancellationToken cancellationToken = default(CancellationToken))
        {
            return OnItsOwnThread(
                () => FetchPackage(machineId, comment, path, progress, cancellationToken), cancellationToken);
        }

        /// <summary><see cref="FindMachines"/> on a thread of its own, which it blocks until it is through.</summary>
        /// <param name="query">What to look for.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public Task<MachinesResult> FindMachinesAsync(
            string query, CancellationToken cancellationToken = default(CancellationToken))
        {
            return OnItsOwnThread(() => FindMachines(query, cancellationToken), cancellationToken);
        }

        /// <summary><see cref="CollectPackage"/> on a thread of its own, which it blocks until it is through.</summary>
        /// <param name="machineId">The device id, 40 hexadecimal digits.</param>
        /// <param name="comment">Why, for the audit trail of the tenant.</param>
        /// <param name="cancellationToken">Ends the call, not the collection.</param>
        public Task<CollectResult> CollectPackageAsync(
            string machineId, string comment, CancellationToken cancellationToken = default(CancellationToken))
        {
            return OnItsOwnThread(() => CollectPackage(machineId, comment, cancellationToken), cancellationToken);
        }

        /// <summary><see cref="GetAction"/> on a thread of its own, which it blocks until it is through.</summary>
        /// <param name="actionId">Its GUID.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public Task<ActionResult> GetActionAsync(
            string actionId, CancellationToken cancellationToken = default(CancellationToken))
        {
            return OnItsOwnThread(() => GetAction(actionId, cancellationToken), cancellationToken);
        }

        /// <summary><see cref="ListActions"/> on a thread of its own, which it blocks until it is through.</summary>
        /// <param name="odataFilter">For example <c>status eq 'Pending'</c>; "" for all.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public Task<ActionsResult> ListActionsAsync(
            string odataFilter, CancellationToken cancellationToken = default(CancellationToken))
        {
            return OnItsOwnThread(() => ListActions(odataFilter, cancellationToken), cancellationToken);
        }

        /// <summary><see cref="WaitAction"/> on a thread of its own, which it blocks until it is through.</summary>
        /// <param name="actionId">Its GUID.</param>
        /// <param name="progress">Told the state at every look.</param>
        /// <param name="cancellationToken">Ends the call, not the action.</param>
        public Task<ActionResult> WaitActionAsync(
            string actionId, IProgress<ProgressEvent> progress = null,
            CancellationToken cancellationToken = default(CancellationToken))
        {
            return OnItsOwnThread(() => WaitAction(actionId, progress, cancellationToken), cancellationToken);
        }

        /// <summary><see cref="CancelAction"/> on a thread of its own, which it blocks until it is through.</summary>
        /// <param name="actionId">Its GUID.</param>
        /// <param name="comment">Why, for the audit trail of the tenant.</param>
        /// <param name="cancellationToken">Ends the call.</param>
        public Task<CancelResult> CancelActionAsync(
            string actionId, string comment, CancellationToken cancellationToken = default(CancellationToken))
        {
            return OnItsOwnThread(() => CancelAction(actionId, comment, cancellationToken), cancellationToken);
        }

        /// <summary><see cref="DownloadPackage"/> on a thread of its own, which it blocks until it is through.</summary>
        /// <param name="actionId">The GUID of the collection.</param>
        /// <param name="path">The file to make, or a folder that exists.</param>
        /// <param name="progress">Told how far it is.</param>
        /// <param name="cancellationToken">Ends the call; the same call carries on.</param>
        public Task<PackageResult> DownloadPackageAsync(
            string actionId, string path, IProgress<ProgressEvent> progress = null,
            CancellationToken cancellationToken = default(CancellationToken))
        {
            return OnItsOwnThread(() => DownloadPackage(actionId, path, progress, cancellationToken), cancellationToken);
        }

        /// <summary><see cref="GetPackageUri"/> on a thread of its own, which it blocks until it is through.</summary>
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
