using System;
using System.Runtime.InteropServices;
using System.Threading;

namespace Mde.Native
{
    /// <summary>
    /// A token provider as native code refers to it. It lives as long as the options and every client made from
    /// them: each of them holds a reference, and the last one to go frees it.
    /// </summary>
    internal sealed class TokenSource
    {
        private readonly Func<string, CancellationToken, MdeAccessToken> provider;
        private GCHandle self;
        private int references = 1;

        internal TokenSource(Func<string, CancellationToken, MdeAccessToken> provider)
        {
            this.provider = provider;
            self = GCHandle.Alloc(this);
        }

        internal IntPtr Address => GCHandle.ToIntPtr(self);

        internal static TokenSource Of(IntPtr address)
        {
            return (TokenSource)GCHandle.FromIntPtr(address).Target;
        }

        internal void Retain()
        {
            Interlocked.Increment(ref references);
        }

        internal void Release()
        {
            if (Interlocked.Decrement(ref references) == 0)
            {
                self.Free();
            }
        }

        internal int Answer(string scope, CancellationToken cancellation, IntPtr sink)
        {
            var token = provider(scope, cancellation);
            if (token == null)
            {
                throw new InvalidOperationException("The token provider returned null.");
            }
            var bytes = Utf8.Bytes(token.Token, "token");
            try
            {
                // Whatever it is, the library says in its own words what is wrong with the token.
                return NativeMethods.mde_token_set(sink, bytes, token.SecondsLeft());
            }
            finally
            {
                Array.Clear(bytes, 0, bytes.Length);
            }
        }
    }
}
