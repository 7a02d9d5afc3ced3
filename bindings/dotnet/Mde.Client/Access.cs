using System;
using System.Collections.Generic;
using System.Linq;
using Mde.Native;

namespace Mde
{
    /// <summary>A step of a check.</summary>
    public sealed class AccessStep
    {
        internal AccessStep(JsonObject step)
        {
            Name = step.Required("step");
            Result = step.Required("result");
            Error = step.Has("error") ? new MdeError(step, null) : null;
        }

        /// <summary>"sign_in_host", "sign_in", "permissions", "api_host", "api" or "clock".</summary>
        public string Name { get; }

        /// <summary>"ok", "failed" or "skipped".</summary>
        public string Result { get; }

        /// <summary>Why it has failed, and what to do; null without a failure.</summary>
        public MdeError? Error { get; }

        /// <summary>The step, its result and the reason.</summary>
        public override string ToString()
        {
            return Name + ": " + Result + (Error == null ? "" : ": " + Error.Message);
        }
    }

    /// <summary>For whom a token is, as it says itself.</summary>
    public sealed class AccessIdentity
    {
        internal AccessIdentity(JsonObject identity)
        {
            Kind = identity.Required("kind");
            TenantId = identity.Text("tenant");
            ApplicationId = identity.Text("application");
            ObjectId = identity.Text("object");
            User = identity.Text("user");
            Permissions = identity.Texts("permissions");
            ExpiresOn = identity.Time("expires_at");
        }

        /// <summary>"application", "user" or "unknown".</summary>
        public string Kind { get; }

        /// <summary>Its tenant.</summary>
        public string? TenantId { get; }

        /// <summary>Its application (client) id.</summary>
        public string? ApplicationId { get; }

        /// <summary>The object id of the user, or of the application in the tenant.</summary>
        public string? ObjectId { get; }

        /// <summary>The user's sign-in name.</summary>
        public string? User { get; }

        /// <summary>The roles of an application, or the scopes of a user's token.</summary>
        public IReadOnlyList<string> Permissions { get; }

        /// <summary>When the token expires.</summary>
        public DateTimeOffset? ExpiresOn { get; }

        /// <summary>The kind and the ids.</summary>
        public override string ToString()
        {
            return Kind + " " + (User ?? ApplicationId) + " of tenant " + TenantId;
        }
    }

    /// <summary>A function, and whether the permissions allow it.</summary>
    public sealed class AccessFunction
    {
        internal AccessFunction(JsonObject function)
        {
            Name = function.Required("function");
            IsAllowed = function.Flag("allowed");
            Lacks = function.Texts("lacks");
        }

        /// <summary>Its name in C, such as "mde_fetch_package".</summary>
        public string Name { get; }

        /// <summary>Whether it is allowed.</summary>
        public bool IsAllowed { get; }

        /// <summary>The permissions to grant, all of them.</summary>
        public IReadOnlyList<string> Lacks { get; }

        /// <summary>The function and what it lacks.</summary>
        public override string ToString()
        {
            return Name + (IsAllowed ? ": allowed" : ": lacks " + string.Join(", ", Lacks));
        }
    }

    /// <summary>An address that was tried.</summary>
    public sealed class AccessAddress
    {
        internal AccessAddress(JsonObject address)
        {
            Address = address.Required("address");
            IsUsed = address.Flag("used");
            Problem = address.Text("problem");
        }

        /// <summary>Address and port.</summary>
        public string Address { get; }

        /// <summary>Whether it was used.</summary>
        public bool IsUsed { get; }

        /// <summary>Why it was not; null if another one was sooner, or the time was over.</summary>
        public string? Problem { get; }

        /// <summary>The address and the problem.</summary>
        public override string ToString()
        {
            return Address + (Problem == null ? "" : ": " + Problem);
        }
    }

    /// <summary>A host, and how far the way to it was open.</summary>
    public sealed class AccessHost
    {
        internal AccessHost(JsonObject host)
        {
            Host = host.Required("host");
            Port = host.Int32("port") ?? 0;
            var proxy = host.Object("proxy");
            Proxy = proxy?.Text("address");
            ProxyBecause = proxy?.Text("because") ?? "none";
            ProxySetBy = proxy?.Text("set_by");
            Addresses = host.Objects("addresses", it => new AccessAddress(it));
            Tls = host.Text("tls");
            Issuer = host.Text("issuer");
            HttpStatus = host.Int32("http_status");
            var times = host.RequiredObject("ms");
            Lookup = times.Milliseconds("lookup");
            Connect = times.Milliseconds("connect");
            Tunnel = times.Milliseconds("tunnel");
            Handshake = times.Milliseconds("tls");
            FirstByte = times.Milliseconds("first_byte");
            var ahead = host.Int32("clock_ahead_s");
            ClockAhead = ahead == null ? (TimeSpan?)null : TimeSpan.FromSeconds(ahead.Value);
        }

        /// <summary>Its name.</summary>
        public string Host { get; }

        /// <summary>Its port.</summary>
        public int Port { get; }

        /// <summary>Host and port of the proxy; null without one.</summary>
        public string? Proxy { get; }

        /// <summary>Why: "none", "option", "variable", "system", "no_proxy" or "loopback".</summary>
        public string ProxyBecause { get; }

        /// <summary>The option or variable that says so.</summary>
        public string? ProxySetBy { get; }

        /// <summary>The addresses that were tried, of the proxy if there is one.</summary>
        public IReadOnlyList<AccessAddress> Addresses { get; }

        /// <summary>"TLS 1.2" or "TLS 1.3".</summary>
        public string? Tls { get; }

        /// <summary>The issuer of the certificate that the server presented, trusted or not.</summary>
        public string? Issuer { get; }

        /// <summary>The status of its reply.</summary>
        public int? HttpStatus { get; }

        /// <summary>How long the lookup of the name took; this and the following are null if they did not come to their end.</summary>
        public TimeSpan? Lookup { get; }

        /// <summary>How long connecting took.</summary>
        public TimeSpan? Connect { get; }

        /// <summary>How long the proxy took to open a tunnel.</summary>
        public TimeSpan? Tunnel { get; }

        /// <summary>How long the TLS handshake took.</summary>
        public TimeSpan? Handshake { get; }

        /// <summary>From the usable connection to the head of the reply.</summary>
        public TimeSpan? FirstByte { get; }

        /// <summary>How far this host's clock is ahead of the other's; negative if it is behind.</summary>
        public TimeSpan? ClockAhead { get; }

        /// <summary>The host and the proxy.</summary>
        public override string ToString()
        {
            return Host + (Proxy == null ? "" : " through " + Proxy);
        }
    }

    /// <summary>The result of <see cref="MdeClient.CheckAccess"/>.</summary>
    public sealed class AccessResult : MdeResult
    {
        /// <summary>Makes a result from its document.</summary>
        /// <param name="json">For example <c>{"access":{"ok":true,"steps":[{"step":"sign_in","result":"ok"}]}}</c>.</param>
        /// <exception cref="FormatException">It is no such document.</exception>
        public AccessResult(string json) : base(json, out var document)
        {
            var access = document.RequiredObject("access");
            IsOk = access.Flag("ok");
            Steps = access.Objects("steps", it => new AccessStep(it));
            var identity = access.Object("identity");
            Identity = identity == null ? null : new AccessIdentity(identity);
            Functions = access.Objects("functions", it => new AccessFunction(it));
            var signIn = access.Object("sign_in_host");
            SignInHost = signIn == null ? null : new AccessHost(signIn);
            var api = access.Object("api_host");
            ApiHost = api == null ? null : new AccessHost(api);
        }

        /// <summary>No step has failed.</summary>
        public bool IsOk { get; }

        /// <summary>All steps in their order.</summary>
        public IReadOnlyList<AccessStep> Steps { get; }

        /// <summary>For whom the token is; null without one.</summary>
        public AccessIdentity? Identity { get; }

        /// <summary>What the permissions allow; empty while they are not known.</summary>
        public IReadOnlyList<AccessFunction> Functions { get; }

        /// <summary>The sign-in host; null if the client needs none.</summary>
        public AccessHost? SignInHost { get; }

        /// <summary>The API host.</summary>
        public AccessHost? ApiHost { get; }

        /// <summary>The first step that has failed, or that all is well.</summary>
        public override string ToString()
        {
            return Steps.FirstOrDefault(it => it.Error != null)?.ToString() ?? "all is well";
        }
    }
}
