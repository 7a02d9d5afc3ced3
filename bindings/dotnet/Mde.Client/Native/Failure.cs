using System;
using System.Threading;

namespace Mde.Native
{
    /// <summary>Turns the status of a native function into an exception.</summary>
    internal static class Failure
    {
        internal static Exception Of(int status, string? json)
        {
            return new MdeException(MdeError.Of(status, json));
        }

        internal static Exception Of(
            int status, string? json, Exception? inner, bool gaveUp, CancellationToken cancellation)
        {
            var error = MdeError.Of(status, json);
            return gaveUp || status == (int)MdeStatus.Cancelled && cancellation.IsCancellationRequested
                ? (Exception)new MdeCanceledException(error, cancellation, inner)
                : new MdeException(error, inner);
        }

        /// <summary>Throws if a function failed that has no result.</summary>
        internal static void Check(int status, StringHandle document)
        {
            using (document)
            {
                if (status != (int)MdeStatus.Ok)
                {
                    throw Of(status, document.Text());
                }
            }
        }
    }
}
