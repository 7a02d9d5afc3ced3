using System;
using System.Threading;
using System.Threading.Tasks;

// The parts of packages from NuGet that the pages use, in their shapes.

namespace Azure.Core
{
    public readonly struct AccessToken
    {
        public AccessToken(string accessToken, DateTimeOffset expiresOn)
        {
            Token = accessToken;
            ExpiresOn = expiresOn;
        }

        public string Token { get; }

        public DateTimeOffset ExpiresOn { get; }
    }

    public readonly struct TokenRequestContext
    {
        public TokenRequestContext(string[] scopes, string? parentRequestId = null)
        {
            Scopes = scopes;
            ParentRequestId = parentRequestId;
        }

        public string[] Scopes { get; }

        public string? ParentRequestId { get; }
    }

    public abstract class TokenCredential
    {
        public abstract ValueTaskLike GetTokenAsync(TokenRequestContext requestContext, CancellationToken cancellationToken);
    }

    // Mono's class library lacks ValueTask for Debian; it is awaited in the same way.
    public sealed class ValueTaskLike
    {
        private readonly Task<AccessToken> task;

        public ValueTaskLike(Task<AccessToken> task)
        {
            this.task = task;
        }

        public System.Runtime.CompilerServices.TaskAwaiter<AccessToken> GetAwaiter()
        {
            return task.GetAwaiter();
        }
    }
}

namespace Azure.Security.KeyVault.Keys.Cryptography
{
    public readonly struct SignatureAlgorithm
    {
        private readonly string name;

        public SignatureAlgorithm(string value)
        {
            name = value;
        }

        public static implicit operator SignatureAlgorithm(string value)
        {
            return new SignatureAlgorithm(value);
        }

        public override string ToString()
        {
            return name;
        }
    }

    public abstract class SignResult
    {
        public byte[] Signature => new byte[0];
    }

    public abstract class CryptographyClient
    {
        public abstract Task<SignResult> SignDataAsync(
            SignatureAlgorithm algorithm, byte[] data, CancellationToken cancellationToken = default);
    }
}

namespace Microsoft.Extensions.Logging
{
    public enum LogLevel
    {
        Information = 2,
        Warning = 3,
        Error = 4,
    }

    public interface ILogger
    {
        void Write(LogLevel level, string text);
    }

    public static class LoggerExtensions
    {
        public static void Log(this ILogger logger, LogLevel logLevel, string? message, params object?[] args)
        {
            logger.Write(logLevel, string.Format(message ?? "", args));
        }
    }
}

namespace Microsoft.Extensions.DependencyInjection
{
    public interface IServiceCollection
    {
        void Add(Type type, Func<IServiceProvider, object> make);
    }

    public static class ServiceCollectionServiceExtensions
    {
        public static IServiceCollection AddSingleton<TService>(
            this IServiceCollection services, Func<IServiceProvider, TService> implementationFactory) where TService : class
        {
            services.Add(typeof(TService), implementationFactory);
            return services;
        }
    }
}
