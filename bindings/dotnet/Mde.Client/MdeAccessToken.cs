using System;

namespace Mde
{
    /// <summary>The result of a token provider.</summary>
    public sealed class MdeAccessToken
    {
        private readonly DateTimeOffset? expiresOn;

        /// <summary>A token of unknown lifetime. The provider is called again for every request.</summary>
        /// <param name="token">The token, without the word Bearer.</param>
        public MdeAccessToken(string token)
        {
            Token = token ?? throw new ArgumentNullException(nameof(token));
        }

        /// <summary>A token with its expiry. The provider is called again shortly before that.</summary>
        /// <param name="token">The token, without the word Bearer.</param>
        /// <param name="expiresOn">When it expires.</param>
        public MdeAccessToken(string token, DateTimeOffset expiresOn) : this(token)
        {
            this.expiresOn = expiresOn;
        }

        internal string Token { get; }

        internal ulong SecondsLeft()
        {
            if (expiresOn == null)
            {
                return 0;
            }
            var left = (expiresOn.Value - DateTimeOffset.UtcNow).TotalSeconds;
            // 0 would mean that the lifetime is unknown.
            return left < 1 ? 1 : (ulong)left;
        }
    }
}
