using System;
using System.Threading;

namespace Mde.Native
{
    /// <summary>The signer that native code refers to.</summary>
    internal sealed class SignatureSource
    {
        /// <summary>Milliseconds by which a timer may be early. A signer that gives up before the deadline has failed.</summary>
        private const int Early = 20;

        private readonly Func<string, byte[], CancellationToken, byte[]> signer;

        internal SignatureSource(Func<string, byte[], CancellationToken, byte[]> signer)
        {
            this.signer = signer;
        }

        internal int Answer(string algorithm, byte[] data, CancellationToken cancellation, IntPtr sink)
        {
            using (var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation))
            {
                // A call without a deadline has the largest number left; a timer takes 24 days.
                var left = NativeMethods.mde_signature_time_left_ms(sink);
                if (left < int.MaxValue - Early)
                {
                    stop.CancelAfter((int)left + Early);
                }
                // Programs without nullability may return null.
                var signature = signer(algorithm, data, stop.Token) ?? throw new InvalidOperationException("The signer returned null.");
                // The library checks the signature and reports what is wrong with it.
                return NativeMethods.mde_signature_set(sink, signature, (ulong)signature.Length);
            }
        }
    }
}
