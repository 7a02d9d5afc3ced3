using System;
using System.Threading;
using System.Threading.Tasks;

namespace Mde.Native
{
    /// <summary>One call of an operation: its checked arguments, and how its result is read.</summary>
    internal sealed class Call<T> where T : MdeResult
    {
        /// <summary>Calls the native function. A <paramref name="progress"/> of null passes no callback.</summary>
        internal delegate int Function(
            CancelHandle cancel, NativeMethods.ProgressFunction? progress, out StringHandle json);

        private readonly ClientHandle? client;
        private readonly Function function;
        private readonly Func<string, T> read;
        private readonly IProgress<ProgressEvent>? progress;
        private readonly CancellationToken cancellation;

        internal Call(
            ClientHandle? client, Function function, Func<string, T> read, IProgress<ProgressEvent>? progress,
            CancellationToken cancellation)
        {
            if (Frame.IsProviderOf(client))
            {
                throw new InvalidOperationException("A token provider or signer must not use the client that waits for it.");
            }
            this.client = client;
            this.function = function;
            this.read = read;
            this.progress = progress;
            this.cancellation = cancellation;
        }

        /// <summary>Blocks this thread until the call is done.</summary>
        internal T Run()
        {
            var frame = new Frame(client, progress, cancellation);
            try
            {
                var status = RunWithin(frame, out var json);
                return Conclude(frame, status, json);
            }
            finally
            {
                frame.End();
            }
        }

        /// <summary>Blocks a thread of its own, none of the pool, perhaps for an hour.</summary>
        internal async Task<T> RunAsync()
        {
            // Without the token, so that a task that was cancelled before it began also has all that is known.
            return await Task.Factory.StartNew<T>(
                Run, CancellationToken.None, TaskCreationOptions.LongRunning | TaskCreationOptions.DenyChildAttach,
                TaskScheduler.Default).ConfigureAwait(false);
        }

        private int RunWithin(Frame frame, out string? json)
        {
            if (!cancellation.CanBeCanceled)
            {
                return RunWithin(frame, CancelHandle.None, out json);
            }
            using (var cancel = MdeLibrary.NotNull(NativeMethods.mde_cancel_new(0)))
            // Disposing the registration waits for a running trigger, and only then the handle is freed.
            using (cancellation.Register(() => NativeMethods.mde_cancel_trigger(cancel)))
            {
                return RunWithin(frame, cancel, out json);
            }
        }

        private int RunWithin(Frame frame, CancelHandle cancel, out string? json)
        {
            StringHandle? document = null;
            try
            {
                var status = function(cancel, frame.HasProgress ? Frame.OnProgress : null, out document);
                json = document.Text();
                return status;
            }
            catch (ObjectDisposedException) when (client != null && client.IsClosed)
            {
                // Another thread has disposed it since this call was made.
                json = null;
                return (int)MdeStatus.Closed;
            }
            finally
            {
                document?.Dispose();
            }
        }

        private T Conclude(Frame frame, int status, string? json)
        {
            // The exception of the callback that ended the call, if one did.
            var thrown = frame.ProgressError ?? (status == (int)MdeStatus.Token ? frame.TokenError : null);
            // A callback that gives up because the call was cancelled has not failed.
            var gaveUp = thrown is OperationCanceledException && cancellation.IsCancellationRequested;
            if (thrown != null && !gaveUp)
            {
                throw new MdeCallbackException(MdeError.Of(status, json), thrown);
            }
            if (status != (int)MdeStatus.Ok)
            {
                throw Failure.Of(status, json, thrown ?? frame.TokenError, gaveUp, cancellation);
            }
            try
            {
                return read(json ?? throw new FormatException("The call gave no document."));
            }
            catch (FormatException error)
            {
                // The document may be that of a later version. The call has succeeded nevertheless.
                throw new MdeException(MdeError.Of(status, json), error);
            }
        }
    }
}
