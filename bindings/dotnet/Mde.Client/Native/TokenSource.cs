using System;
using System.Threading;

namespace Mde.Native
{
    /// <summary>The token provider that native code refers to.</summary>
    internal sealed class TokenSource
    {
        private readonly Func<string, CancellationToken, MdeAccessToken> provider;

        internal TokenSource(Func<string, CancellationToken, MdeAccessToken> provider)
        {
            this.provider = provider;
        }

        internal int Answer(string scope, CancellationToken cancellation, IntPtr sink)
        {
            // Programs without nullability may return null.
            var token = provider(scope, cancellation) ?? throw new InvalidOperationException("The token provider returned null.");
            var bytes = Utf8.Bytes(token.Token, "token");
            try
            {
                // The library checks the token and reports what is wrong with it.
                return NativeMethods.mde_token_set(sink, bytes, token.SecondsLeft());
            }
            finally
            {
                Array.Clear(bytes, 0, bytes.Length);
            }
        }
    }
}
