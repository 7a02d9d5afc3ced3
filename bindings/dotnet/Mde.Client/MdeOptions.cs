using System;
using System.Globalization;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Threading;
using System.Threading.Tasks;
using Mde.Native;

namespace Mde
{
    /// <summary>
    /// Settings for clients, with the names of <c>docs/options.md</c>: <c>new MdeOptions { ["tenant_id"] = … }</c>.
    /// A client copies them, so they may be changed or disposed afterwards.
    /// </summary>
    public sealed class MdeOptions : IDisposable
    {
        // Only one thread at a time may use the native options.
        private readonly object gate = new object();
        private readonly OptionsHandle handle;

        /// <summary>Every option at its default.</summary>
        public MdeOptions()
        {
            MdeLibrary.Load();
            handle = MdeLibrary.NotNull(NativeMethods.mde_options_new());
        }

        /// <summary>Sets one option, as <see cref="Set(string, string)"/> does.</summary>
        /// <param name="name">Its name.</param>
        public string this[string name]
        {
            set => Set(name, value);
        }

        /// <summary>Sets one option. It is checked at once; a refused value changes nothing.</summary>
        /// <param name="name">Its name.</param>
        /// <param name="value">Its value.</param>
        /// <returns>These options.</returns>
        /// <exception cref="MdeException">Config: the name is unknown, or the value not accepted.</exception>
        public MdeOptions Set(string name, string value)
        {
            var key = Utf8.Bytes(name, nameof(name));
            var bytes = Utf8.Bytes(
                value ?? throw new ArgumentNullException(nameof(value), "The option `" + name + "` needs a value."), nameof(value));
            try
            {
                lock (gate)
                {
                    Failure.Check(NativeMethods.mde_options_set(Handle, key, bytes, out var json), json);
                }
            }
            finally
            {
                // It may be a secret. The string itself, in managed memory, cannot be wiped.
                Array.Clear(bytes, 0, bytes.Length);
            }
            return this;
        }

        /// <summary>Sets an option that is a number.</summary>
        /// <param name="name">Its name.</param>
        /// <param name="value">Its value.</param>
        /// <returns>These options.</returns>
        public MdeOptions Set(string name, long value)
        {
            return Set(name, value.ToString(CultureInfo.InvariantCulture));
        }

        /// <summary>Sets an option whose name ends in <c>_ms</c>.</summary>
        /// <param name="name">Its name.</param>
        /// <param name="value">Its value, rounded up to whole milliseconds.</param>
        /// <returns>These options.</returns>
        public MdeOptions Set(string name, TimeSpan value)
        {
            if (name != null && !name.EndsWith("_ms", StringComparison.Ordinal))
            {
                throw new ArgumentException("The option `" + name + "` is no time: their names end in _ms.", nameof(name));
            }
            if (value < TimeSpan.Zero)
            {
                throw new ArgumentOutOfRangeException(
                    nameof(value), value, "The option `" + name + "` takes no negative time; zero is no limit where it has one.");
            }
            // Rounded up: a part of a millisecond must not become 0, which may be no limit.
            return Set(name ?? throw new ArgumentNullException(nameof(name)), (long)Math.Ceiling(value.TotalMilliseconds));
        }

        /// <summary>Sets many options from a JSON object: all of them or, on error, none.</summary>
        /// <param name="json">For example <c>{"cloud":"eu","timeout_ms":60000}</c>.</param>
        /// <returns>These options.</returns>
        /// <exception cref="MdeException">Config: a name is unknown, or a value not accepted.</exception>
        public MdeOptions SetJson(string json)
        {
            var bytes = Utf8.Bytes(json, nameof(json));
            try
            {
                lock (gate)
                {
                    Failure.Check(NativeMethods.mde_options_set_json(Handle, bytes, out var document), document);
                }
            }
            finally
            {
                Array.Clear(bytes, 0, bytes.Length);
            }
            return this;
        }

        /// <summary>
        /// Lets the program get the access tokens. The thread that made a call calls the provider when it needs a token, one
        /// thread at a time per client, with the scope and that call's cancellation token. An exception of the provider
        /// ends that call with <see cref="MdeCallbackException"/>. The provider is kept until these options and their
        /// clients are disposed.
        /// </summary>
        /// <param name="provider">Gets a token.</param>
        /// <returns>These options.</returns>
        public MdeOptions SetTokenProvider(Func<string, CancellationToken, MdeAccessToken> provider)
        {
            var tokens = new TokenSource(provider ?? throw new ArgumentNullException(nameof(provider)));
            lock (gate)
            {
                var status = UserData.Give(tokens, (userData, free) =>
                    NativeMethods.mde_options_set_token_provider(Handle, Frame.OnToken, userData, free));
                if (status != (int)MdeStatus.Ok)
                {
                    throw Failure.Of(status, null);
                }
            }
            return this;
        }

        /// <summary>
        /// Lets the program get the access tokens, like the other overload, with a provider that is asynchronous. It runs
        /// on the thread pool, so that it never waits for the thread of the call, which waits for it.
        /// </summary>
        /// <param name="provider">Gets a token.</param>
        /// <returns>These options.</returns>
        public MdeOptions SetTokenProvider(Func<string, CancellationToken, Task<MdeAccessToken>> provider)
        {
            var started = provider ?? throw new ArgumentNullException(nameof(provider));
            return SetTokenProvider((scope, cancellation) =>
                Frame.RunProvider(() => started(scope, cancellation)));
        }

        /// <summary>
        /// Lets the program sign in with a certificate, wherever its RSA key is: in a file, a store of Windows, a TPM or a
        /// smart card. The certificate may be disposed afterwards. The key is kept until these options and their clients are
        /// disposed.
        /// </summary>
        /// <param name="certificate">The certificate, with its private key.</param>
        /// <returns>These options.</returns>
        /// <exception cref="ArgumentException">The certificate has no private key, or none of RSA.</exception>
        public MdeOptions SetCertificate(X509Certificate2 certificate)
        {
            var given = certificate ?? throw new ArgumentNullException(nameof(certificate));
            var key = given.GetRSAPrivateKey() ?? throw new ArgumentException(
                given.HasPrivateKey ? "The certificate's key is not RSA, which the sign-in service needs." : "The certificate has no private key.",
                nameof(certificate));
            Set("client_certificate", "-----BEGIN CERTIFICATE-----\n" + Convert.ToBase64String(given.RawData) + "\n-----END CERTIFICATE-----\n");
            return SetSigner((algorithm, data, cancellation) =>
            {
                // Clients of these options may sign at once, and the key is for one thread at a time.
                lock (key)
                {
                    return key.SignData(
                        data, HashAlgorithmName.SHA256, algorithm == "PS256" ? RSASignaturePadding.Pss : RSASignaturePadding.Pkcs1);
                }
            });
        }

        /// <summary>
        /// Lets the program sign with the key of the option <c>client_certificate</c>, which then has certificates alone. The
        /// thread of a call that signs in calls the signer, one thread at a time per client, with the algorithm
        /// (<c>PS256</c> or <c>RS256</c>), the data to hash with SHA-256 and sign, and a cancellation token. That token is
        /// cancelled with the call's own and at the call's deadline. The library checks the signature. An exception of the
        /// signer ends that call with <see cref="MdeCallbackException"/>. The signer is kept until these options and their
        /// clients are disposed.
        /// </summary>
        /// <param name="signer">Makes a signature.</param>
        /// <returns>These options.</returns>
        public MdeOptions SetSigner(Func<string, byte[], CancellationToken, byte[]> signer)
        {
            var signatures = new SignatureSource(signer ?? throw new ArgumentNullException(nameof(signer)));
            lock (gate)
            {
                var status = UserData.Give(signatures, (userData, free) =>
                    NativeMethods.mde_options_set_signer(Handle, Frame.OnSign, userData, free));
                if (status != (int)MdeStatus.Ok)
                {
                    throw Failure.Of(status, null);
                }
            }
            return this;
        }

        /// <summary>
        /// Lets the program sign, like the other overload, with a signer that is asynchronous, such as one that asks a vault.
        /// It runs on the thread pool, so that it never waits for the thread of the call, which waits for it.
        /// </summary>
        /// <param name="signer">Makes a signature.</param>
        /// <returns>These options.</returns>
        public MdeOptions SetSigner(Func<string, byte[], CancellationToken, Task<byte[]>> signer)
        {
            var started = signer ?? throw new ArgumentNullException(nameof(signer));
            return SetSigner((algorithm, data, cancellation) =>
                Frame.RunProvider(() => started(algorithm, data, cancellation)));
        }

        /// <summary>Frees the options and wipes the secrets in them.</summary>
        public void Dispose()
        {
            lock (gate)
            {
                handle.Dispose();
            }
        }

        internal ClientHandle NewClient()
        {
            lock (gate)
            {
                Failure.Check(NativeMethods.mde_client_new(Handle, out var client, out var json), json);
                return client;
            }
        }

        private OptionsHandle Handle => handle.IsClosed ? throw new ObjectDisposedException(nameof(MdeOptions)) : handle;
    }
}
