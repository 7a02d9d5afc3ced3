using System;
using System.Threading;

namespace Mde.Native
{
    /// <summary>The signer that native code refers to.</summary>
    internal sealed class SignatureSource
    {
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
                if (left <= int.MaxValue)
                {
                    stop.CancelAfter((int)left);
                }
                // Programs without nullability may return null.
                var signature = signer(algorithm, data, stop.Token) ?? throw new InvalidOperationException("The signer returned null.");
                // The library checks the signature and reports what is wrong with it.
                return NativeMethods.mde_signature_set(sink, signature, (ulong)signature.Length);
            }
        }
    }
}
