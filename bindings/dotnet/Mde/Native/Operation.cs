using System;
using System.Threading;

namespace Mde.Native
{
    /// <summary>Runs one call from its beginning to its result or exception.</summary>
    internal static class Operation
    {
        /// <summary>The call itself. A <paramref name="progress"/> of null passes no callback.</summary>
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
            // Its end waits until a trigger that is under way is through; only then the handle goes.
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
            // What ended the call, where a callback did.
            var thrown = frame.ProgressError ?? (status == (int)MdeStatus.Token ? frame.TokenError : null);
            // One that gives up because the call was cancelled has not failed.
            var gaveUp = thrown?.SourceException is OperationCanceledException && frame.Cancellation.IsCancellationRequested;
            if (thrown != null && !gaveUp)
            {
                // The program's own exception is what the program wants to see.
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
                // A later version's document, perhaps. The call has done its work all the same.
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

        /// <summary>For calls whose document says nothing when they succeed.</summary>
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
