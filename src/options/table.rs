//! The table of options: name, meaning, default, check.

use super::checks::{
    absolute, agent, limit, millis, name, not_empty, one_of, password, path, path_or_text, secret,
    token, url, visible, whole,
};
use super::spec::{Preset, Spec, number, text};
use super::{Auth, OnDuplicate, OnFullQuota, OnUnknown};
use crate::http::proxy::login::{self, Allowed};
use crate::http::proxy::{self, Choice, Proxy, exceptions};
use crate::quota::limits::{self, Limits};
use crate::quota::redis::{self, Fallback, Target};
use crate::service::cloud;
use crate::service::hosts::{self, Hosts};
use crate::sign_in::certificate::Algorithm;
use crate::sign_in::managed::{self, Which};
use crate::text::url;

use Preset::{Nothing, Rule, Value};

const URL: &str = url::ACCEPTED;

const CERTIFICATE: &str = "the path of a PEM or PKCS#12 file, or the text of one in PEM or Base64";

const CERTIFICATE_OR_STORE: &str = "the path of a PEM or PKCS#12 file, the text of one in PEM or Base64, or on Windows \
    store:CurrentUser/My/THUMBPRINT or store:LocalMachine/My/THUMBPRINT";

pub(crate) const TABLE: &[Spec] = &[
    text(
        "tenant_id",
        "the tenant's GUID or a domain name of it",
        Nothing,
        "The Entra tenant. Needed for a secret, a certificate and a federated token; with a token it names the tenant \
         whose quota is spent.",
        |o, v| name(v).map(|v| o.tenant_id = Some(v)),
    ),
    text(
        "client_id",
        "the application's id, a GUID",
        Nothing,
        "The application (client) id of the Entra app registration.",
        |o, v| name(v).map(|v| o.client_id = Some(v)),
    ),
    text(
        "client_secret",
        "the secret's value (not its id)",
        Nothing,
        "A client secret of the application. Wiped from memory with the options and the client.",
        |o, v| secret(v).map(|v| o.client_secret = Some(v)),
    ),
    text(
        "client_certificate",
        CERTIFICATE_OR_STORE,
        Nothing,
        "A certificate of the application, with its key or with `client_key`, to sign in with instead of a secret: RSA, \
         2048 to 4096 bits. Without a key where a signer is set or Windows' store has the key. Files are read again for \
         every token request, since they may be renewed.",
        |o, v| path_or_text(v).map(|v| o.client_certificate = Some(v)),
    ),
    text(
        "client_key",
        "the path of a PEM or DER file (PKCS#8 or PKCS#1), or the text of one in PEM or Base64",
        Rule("in the file of `client_certificate`"),
        "The certificate's private key. Wiped from memory with the options and the client; the signing code keeps its \
         own copy.",
        |o, v| path_or_text(v).map(|v| o.client_key = Some(v)),
    ),
    text(
        "certificate_password",
        "the password of the PKCS#12 file or of the encrypted key; it may be empty",
        Nothing,
        "The password of the certificate's key, and of that of `tls_certificate`. Wiped from memory with the options \
         and the client.",
        |o, v| password(v).map(|v| o.certificate_password = Some(v)),
    ),
    text(
        "certificate_algorithm",
        "PS256 or RS256",
        Value("PS256"),
        "How the certificate's key signs: RSA-PSS naming the certificate by its SHA-256 (`x5t#S256`), or the older \
         PKCS#1 v1.5 naming it by its SHA-1 (`x5t`).",
        |o, v| {
            one_of(v, &[("PS256", Algorithm::Ps256), ("RS256", Algorithm::Rs256)])
                .map(|v| o.certificate_algorithm = v)
        },
    ),
    text(
        "certificate_chain",
        "yes or no",
        Value("no"),
        "Whether sign-in sends the certificate and those of its issuers in the same file (`x5c`). Applications that \
         trust a subject name and an issuer need it.",
        |o, v| one_of(v, &[("yes", true), ("no", false)]).map(|v| o.certificate_chain = v),
    ),
    text(
        "federated_token_file",
        "the path of a file that holds one token",
        Rule("with auth=workload_identity: AZURE_FEDERATED_TOKEN_FILE"),
        "A token of another issuer that the application trusts (workload identity federation). Read again for every \
         request, since its issuer replaces it.",
        |o, v| path(v).map(|v| o.federated_token_file = Some(v)),
    ),
    text(
        "managed_identity",
        managed::ACCEPTED,
        Rule("with auth=managed_identity: system"),
        "The identity that Azure gave this virtual machine, app or Arc-enabled server: its own, or one assigned to it. \
         The client takes the endpoint from IDENTITY_ENDPOINT, IDENTITY_HEADER, MSI_ENDPOINT, MSI_SECRET and \
         AZURE_POD_IDENTITY_AUTHORITY_HOST when it is made. Requests to it use no proxy.",
        |o, v| Which::parse(v).map(|v| o.managed_identity = Some(v)),
    ),
    text(
        "access_token",
        "a bearer token, without the word Bearer",
        Nothing,
        "A token obtained elsewhere. It is used as it is and never renewed.",
        |o, v| token(v).map(|v| o.access_token = Some(v)),
    ),
    text(
        "auth",
        "access_token, token_provider, client_secret, certificate, federated, workload_identity or managed_identity",
        Rule("inferred from what is set"),
        "How to sign in. Needed only when several ways are set, and for `workload_identity`: that is `federated`, with \
         missing options taken from AZURE_FEDERATED_TOKEN_FILE, AZURE_CLIENT_ID, AZURE_TENANT_ID and \
         AZURE_AUTHORITY_HOST.",
        |o, v| {
            one_of(
                v,
                &[
                    ("access_token", Auth::AccessToken),
                    ("token_provider", Auth::TokenProvider),
                    ("client_secret", Auth::ClientSecret),
                    ("certificate", Auth::Certificate),
                    ("federated", Auth::Federated),
                    ("workload_identity", Auth::WorkloadIdentity),
                    ("managed_identity", Auth::ManagedIdentity),
                ],
            )
            .map(|v| o.auth = Some(v))
        },
    ),
    text(
        "cloud",
        "commercial, us, eu, uk, au, swa, ina, aea, gcc, gcc_high or dod",
        Value("commercial"),
        "The cloud of the tenant, or (`us` to `aea`) the nearest regional endpoint of the commercial cloud.",
        |o, v| match cloud::by_name(v) {
            Some(found) => {
                o.cloud = Some(found);
                Ok(())
            }
            None => Err("names no known cloud".to_owned()),
        },
    ),
    text(
        "api_url",
        URL,
        Rule("from `cloud`"),
        "Base address of the API; requests go to `{api_url}/api/…`. A path prefix is kept, for gateways.",
        |o, v| url(v).map(|v| o.api_url = Some(v)),
    ),
    text(
        "login_url",
        URL,
        Rule("from `cloud`"),
        "Base address of the sign-in service; tokens come from `{login_url}/{tenant_id}/oauth2/v2.0/token`.",
        |o, v| url(v).map(|v| o.login_url = Some(v)),
    ),
    text(
        "scope",
        "1 to 1024 visible ASCII characters",
        Rule("from `cloud`"),
        "The scope to request a token for. The commercial default keeps the older host name on purpose.",
        |o, v| visible(v, 1_024).map(|v| o.scope = Some(v)),
    ),
    text(
        "ca_file",
        "the path of a file with one or more PEM certificates",
        Rule("none"),
        "Certificates to trust besides the operating system's, for proxies that inspect TLS and for tests. On Linux \
         the system's store is found as OpenSSL does, SSL_CERT_FILE and SSL_CERT_DIR included.",
        |o, v| not_empty(v).map(|v| o.ca_file = Some(v)),
    ),
    text(
        "tls_certificate",
        CERTIFICATE,
        Nothing,
        "A client certificate for gateways and proxies that ask for one in TLS, with its key or with `tls_key`: RSA, \
         or EC on P-256 or P-384. Only the hosts of `api_url` and `login_url` get it. Files are read again for every \
         connection to them, since they may be renewed.",
        |o, v| path_or_text(v).map(|v| o.tls_certificate = Some(v)),
    ),
    text(
        "tls_key",
        "the path of a PEM or DER file (PKCS#8, PKCS#1 or SEC 1), or the text of one in PEM or Base64",
        Rule("in the file of `tls_certificate`"),
        "The private key of `tls_certificate`. `certificate_password` opens it if it is encrypted.",
        |o, v| path_or_text(v).map(|v| o.tls_key = Some(v)),
    ),
    text(
        "proxy",
        proxy::ACCEPTED,
        Value("system"),
        "The HTTP proxy. `env` reads HTTPS_PROXY, https_proxy, ALL_PROXY and all_proxy, in this order, when the client \
         is made. `system` is the same, but if none of them is set on Windows, it asks Windows for each host. Loopback \
         addresses and names are never reached through a proxy. The default port is 3128.",
        |o, v| match v {
            "system" => {
                o.proxy = Choice::System;
                Ok(())
            }
            "env" => {
                o.proxy = Choice::Environment;
                Ok(())
            }
            "none" => {
                o.proxy = Choice::None;
                Ok(())
            }
            url => {
                o.proxy = Choice::Url(Proxy::parse(url)?);
                Ok(())
            }
        },
    ),
    text(
        "no_proxy",
        "names, addresses and CIDR ranges, separated by commas; * for all",
        Rule("unless proxy is a URL: NO_PROXY or no_proxy"),
        "Hosts to reach without the proxy. A name covers the names below it.",
        |o, v| {
            exceptions::check(v)?;
            o.no_proxy = Some(v.to_owned());
            Ok(())
        },
    ),
    text(
        "proxy_auth",
        login::ACCEPTED,
        Value("negotiate,ntlm,basic"),
        "The kinds of login at a proxy that may be used. The strongest of them that the proxy offers is used: Negotiate \
         (Kerberos), NTLM (on Windows only), or Basic. Without ntlm, Negotiate makes no login by NTLM either. The \
         login is that of the user in `proxy`, or else that of the account of this process, which has no Basic. \
         `basic` alone is sent without being asked for.",
        |o, v| {
            o.proxy_auth = Allowed::parse(v)?;
            Ok(())
        },
    ),
    number(
        "connect_timeout_ms",
        "1 to 86400000",
        Value("10000"),
        "How long host name lookup, connecting, proxy tunnel and TLS handshake may take together.",
        |o, v| millis(v, 1).map(|v| o.connect_timeout = v),
    ),
    number(
        "idle_timeout_ms",
        "1 to 86400000",
        Value("60000"),
        "How long a peer may be silent while a request is sent or a reply is awaited or read.",
        |o, v| millis(v, 1).map(|v| o.idle_timeout = v),
    ),
    number(
        "timeout_ms",
        "0 to 86400000; 0 for no limit",
        Value("300000"),
        "How long a whole operation may take, quota waits and retries included. In the operations that wait_timeout_ms \
         limits, it limits a single request, but not the transfer of a package.",
        |o, v| limit(v).map(|v| o.timeout = v),
    ),
    number(
        "wait_timeout_ms",
        "0 to 86400000; 0 for no limit",
        Value("3600000"),
        "How long mde_wait_action, mde_download_package, mde_fetch_package and mde_fetch_packages may take. Calling them again resumes.",
        |o, v| limit(v).map(|v| o.wait_timeout = v),
    ),
    number(
        "poll_interval_ms",
        "100 to 86400000",
        Value("15000"),
        "The shortest time between two polls of an action. An action that takes long is polled less often, down to \
         once a minute.",
        |o, v| millis(v, 100).map(|v| o.poll_interval = v),
    ),
    number(
        "max_retries",
        "0 to 20",
        Value("4"),
        "How often a request is sent again after a transient failure, where that is safe. A request for a package that \
         fails because the server closed a keep-alive connection is sent once more.",
        |o, v| whole(v, 0, 20).map(|v| o.max_retries = v),
    ),
    text(
        "on_duplicate",
        "adopt or error",
        Value("adopt"),
        "What mde_collect_package does when a collection already runs on the device: return that one, or fail.",
        |o, v| {
            one_of(v, &[("adopt", OnDuplicate::Adopt), ("error", OnDuplicate::Error)])
                .map(|v| o.on_duplicate = v)
        },
    ),
    text(
        "on_unknown",
        "resend or report",
        Value("resend"),
        "What mde_collect_package and mde_fetch_package do when the reply to a collection request is lost and the list \
         of actions shows no collection of it: send it again, up to max_retries times, or fail with outcome_unknown. \
         The service runs one collection per device, so a second request joins the first.",
        |o, v| {
            one_of(v, &[("resend", OnUnknown::Resend), ("report", OnUnknown::Report)])
                .map(|v| o.on_unknown = v)
        },
    ),
    text(
        "quota",
        "wait or fail",
        Value("wait"),
        "What a call does when the quota has no room: wait for its turn, or fail with rate_limited. A call also fails \
         if its turn is known to come after its deadline.",
        |o, v| {
            one_of(v, &[("wait", OnFullQuota::Wait), ("fail", OnFullQuota::Fail)])
                .map(|v| o.quota = v)
        },
    ),
    text(
        "quota_limits",
        limits::ACCEPTED,
        Rule("the documented limits"),
        "The limits to keep, per endpoint. Clients that share an identity should be given the same.",
        |o, v| Limits::parse(v).map(|v| o.quota_limits = v),
    ),
    number(
        "quota_share",
        "1 to 100",
        Value("100"),
        "Percentage of the limits that this product may use. The rest is reserved for other users of the same identity.",
        |o, v| whole(v, 1, 100).map(|v| o.quota_share = v),
    ),
    text(
        "quota_file",
        "an absolute path in UTF-8",
        Rule("none: each process keeps its own log"),
        "A file through which all processes of this host share one quota, and which keeps it over restarts. Use one \
         file per tenant and application, in a folder that only trusted users can write to. It is created if it does \
         not exist.",
        |o, v| absolute(v).map(|v| o.quota_file = Some(v)),
    ),
    text(
        "quota_redis",
        redis::ACCEPTED,
        Rule("none: each process keeps its own log"),
        "A Redis (5 or newer) or Valkey server through which all processes that use it, on any number of hosts, share \
         one quota; instead of `quota_file`. Its memory policy must be `noeviction`.",
        |o, v| {
            o.quota_redis = Some(Target::parse(v)?);
            Ok(())
        },
    ),
    text(
        "quota_redis_fallback",
        "local, local:1 to local:100, or fail",
        Value("local"),
        "What to do while that server cannot be used. `local` counts the calls of this process alone, with that \
         percentage of the limits. `fail` sends nothing and fails with rate_limited. If the log was lost, for instance \
         by a restart, `fail` also sends nothing until it reaches back a whole window.",
        |o, v| {
            let fallback = Fallback::parse(v).ok_or("has an unknown value")?;
            o.quota_redis_fallback = fallback;
            Ok(())
        },
    ),
    text(
        "download_hosts",
        hosts::ACCEPTED,
        Value(hosts::DEFAULT),
        "Hosts that a package link may lead to, with all names below them. The host of `api_url` is always allowed. A \
         link to any other host is refused, so that a forged one fetches nothing.",
        |o, v| Hosts::parse(v).map(|v| o.download_hosts = v),
    ),
    number(
        "max_package_bytes",
        "0 to 18446744073709551615; 0 for no limit",
        Value("17179869184"),
        "The largest package that mde_download_package, mde_fetch_package and mde_fetch_packages take: 16 GiB by default.",
        |o, v| {
            whole(v, 0, u64::MAX).map(|v| o.max_package_bytes = if v == 0 { u64::MAX } else { v })
        },
    ),
    text(
        "accept_unsafe",
        "yes or no",
        Value("no"),
        "What to do with a package that could do harm where it is unpacked, or cannot be checked. `no` keeps it as \
         `<path>.unsafe` and fails with unsafe. `yes` gives it its name, and the document lists its unsafe entries.",
        |o, v| one_of(v, &[("no", false), ("yes", true)]).map(|v| o.accept_unsafe = v),
    ),
    number(
        "downloads_at_once",
        "1 to 32",
        Value("4"),
        "How many packages mde_fetch_packages downloads at once, each on a thread of its own.",
        |o, v| whole(v, 1, 32).map(|v| o.downloads_at_once = v),
    ),
    text(
        "record",
        "an absolute path in UTF-8",
        Rule("none"),
        "A file to which mde_fetch_package appends a line of JSON for each package, and for each collection that failed. \
         Each line has the SHA-256 of the line before. `<record>.sha256` and `SHA256SUMS` lie beside it, so a folder has \
         one record. It is created if it does not exist.",
        |o, v| absolute(v).map(|v| o.record = Some(v)),
    ),
    text(
        "user_agent",
        "1 to 256 visible ASCII characters and spaces",
        Rule("none"),
        "Name and version of the host product. It stands before ours in the User-Agent header.",
        |o, v| agent(v).map(|v| o.user_agent = Some(v)),
    ),
];
