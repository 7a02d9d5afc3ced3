using System;

namespace Mde
{
    /// <summary>What a token provider answers.</summary>
    public sealed class MdeAccessToken
    {
        private readonly DateTimeOffset? expiresOn;

        /// <summary>A token of unknown life: the provider is asked again for every request.</summary>
        /// <param name="token">The token, without the word Bearer.</param>
        public MdeAccessToken(string token)
        {
            Token = token ?? throw new ArgumentNullException(nameof(token));
        }

        /// <summary>A token that is asked for again shortly before it expires.</summary>
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
            // 0 would say that nobody knows.
            return left < 1 ? 1 : (ulong)left;
        }
    }
}
