using System;
using System.Threading;

namespace Mde.Native
{
    /// <summary>Runs one call from its beginning to its result or exception.</summary>
    internal static class Operation
    {
        /// <summary>Calls the native function. A <paramref name="progress"/> of null passes no callback.</summary>
        internal delegate int Call(CancelHandle cancel, NativeMethods.ProgressFunction progress, out StringHandle json);

        internal static T Run<T>(IProgress<ProgressEvent> progress, CancellationToken cancellation, Call call)
            where T : MdeResult
        {
            var frame = new Frame(progress == null ? null : (Action<ProgressEvent>)progress.Report, cancellation);
            try
            {
                var status = Run(frame, progress == null ? null : Frame.OnProgress, call, out var json);
                return Conclude<T>(frame, status, json);
            }
            finally
            {
                frame.End();
            }
        }

        private static int Run(Frame frame, NativeMethods.ProgressFunction progress, Call call, out string json)
        {
            if (!frame.Cancellation.CanBeCanceled)
            {
                return Run(CancelHandle.None, progress, call, out json);
            }
            using (var cancel = MdeLibrary.NotNull(NativeMethods.mde_cancel_new(0)))
            // Disposing the registration waits for a running trigger, and only then the handle is freed.
            using (frame.Cancellation.Register(it => NativeMethods.mde_cancel_trigger((CancelHandle)it), cancel))
            {
                return Run(cancel, progress, call, out json);
            }
        }

        private static int Run(
            CancelHandle cancel, NativeMethods.ProgressFunction progress, Call call, out string json)
        {
            StringHandle document = null;
            try
            {
                var status = call(cancel, progress, out document);
                json = document.Text();
                return status;
            }
            finally
            {
                document?.Dispose();
            }
        }

        private static T Conclude<T>(Frame frame, int status, string json) where T : MdeResult
        {
            // The exception of the callback that ended the call, if one did.
            var thrown = frame.ProgressError ?? (status == (int)MdeStatus.Token ? frame.TokenError : null);
            // A callback that gives up because the call was cancelled has not failed.
            var gaveUp = thrown?.SourceException is OperationCanceledException && frame.Cancellation.IsCancellationRequested;
            if (thrown != null && !gaveUp)
            {
                // The program expects its own exception.
                Outcome.Attach(thrown.SourceException, status, json);
                thrown.Throw();
            }
            if (status != (int)MdeStatus.Ok)
            {
                throw Failure(status, json, frame.Cancellation, gaveUp, (thrown ?? frame.TokenError)?.SourceException);
            }
            try
            {
                var result = Documents.Read<T>(json);
                result.Json = json;
                return result;
            }
            catch (Exception error)
            {
                // The document may be that of a later version. The call has succeeded nevertheless.
                Outcome.Attach(error, status, json);
                throw;
            }
        }

        internal static Exception Failure(
            int status, string json, CancellationToken cancellation, bool gaveUp = false, Exception inner = null)
        {
            var error = MdeError.Parse(status, json);
            if (gaveUp || status == (int)MdeStatus.Cancelled && cancellation.IsCancellationRequested)
            {
                return new MdeCanceledException(error, cancellation, inner);
            }
            return new MdeException(error, inner);
        }

        /// <summary>Throws if a call failed that has no result.</summary>
        internal static void Check(int status, StringHandle document)
        {
            using (document)
            {
                if (status != (int)MdeStatus.Ok)
                {
                    throw Failure(status, document.Text(), CancellationToken.None);
                }
            }
        }
    }
}
