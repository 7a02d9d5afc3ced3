namespace Mde
{
    /// <summary>
    /// The result of a call: the codes of <c>mde.h</c>. A later version of the library may return a code that has no
    /// name here.
    /// </summary>
    public enum MdeStatus
    {
        /// <summary>The operation succeeded.</summary>
        Ok = 0,

        /// <summary>A required pointer is NULL. The message names the argument.</summary>
        Null = 1,

        /// <summary>A string is not valid UTF-8. The message names the argument.</summary>
        Utf8 = 2,

        /// <summary>An argument has an unusable value. The message names the argument and what is accepted.</summary>
        InvalidArgument = 3,

        /// <summary>An option is unknown, has an unusable value, or does not fit the others. The message names it.</summary>
        Config = 4,

        /// <summary>The client was shut down.</summary>
        Closed = 5,

        /// <summary>The client was made in another process (before a fork). Make a new one in this process.</summary>
        Forked = 6,

        /// <summary>The sign-in service refused, or the token provider or signer failed. Check the credentials.</summary>
        Token = 20,

        /// <summary>The service answered 401 and a fresh token did not cure it.</summary>
        Unauthorized = 21,

        /// <summary>The service answered 403: the application lacks a permission, or the token is for another audience.</summary>
        Forbidden = 22,

        /// <summary>The host name could not be resolved.</summary>
        Resolve = 40,

        /// <summary>The connection could not be opened.</summary>
        Connect = 41,

        /// <summary>The TLS handshake failed or the certificate is not trusted.</summary>
        Tls = 42,

        /// <summary>The proxy refused or did not answer properly.</summary>
        Proxy = 43,

        /// <summary>The connection was lost before the whole reply had arrived.</summary>
        Broken = 44,

        /// <summary>A reply was not understood. It may come from a proxy, a gateway or another service.</summary>
        Protocol = 45,

        /// <summary>The service refused the request as wrong (400 and its relatives).</summary>
        BadRequest = 60,

        /// <summary>The device, action or JSON member does not exist.</summary>
        NotFound = 61,

        /// <summary>A collection already runs on the device; ActionId names it when it could be found.</summary>
        AlreadyRunning = 62,

        /// <summary>The action exists but is not finished.</summary>
        NotReady = 63,

        /// <summary>The action ended in state Failed.</summary>
        ActionFailed = 64,

        /// <summary>The action ended in state TimeOut.</summary>
        ActionTimedOut = 65,

        /// <summary>The action ended in state Cancelled.</summary>
        ActionCancelled = 66,

        /// <summary>The device's operating system or sensor does not support this action.</summary>
        UnsupportedDevice = 67,

        /// <summary>The request may have been carried out, but neither a reply nor the list of actions tells. Check
        /// before repeating it.</summary>
        OutcomeUnknown = 68,

        /// <summary>The service failed (5xx).</summary>
        Service = 69,

        /// <summary>Every device has its outcome, but not every package is there. The document has them all.</summary>
        Incomplete = 70,

        /// <summary>The quota has no room now, and the caller chose not to wait or has no time for it. See RetryAfter; without it, calls under way or waiting have to end first.</summary>
        RateLimited = 80,

        /// <summary>The service kept answering 429. See RetryAfter.</summary>
        Throttled = 81,

        /// <summary>The deadline passed before the operation was complete.</summary>
        Deadline = 82,

        /// <summary>The operation was cancelled.</summary>
        Cancelled = 83,

        /// <summary>A local file could not be read or written, or is not a regular file. The message names it.</summary>
        File = 100,

        /// <summary>The disk is full. The part on disk is kept, and the same call resumes when there is room.</summary>
        DiskFull = 101,

        /// <summary>A package is damaged or cut short. The message names the entry, and the file in which the download is kept.</summary>
        Integrity = 102,

        /// <summary>A package could do harm where it is unpacked, or its content cannot be checked. It is kept, and the document lists its unsafe entries.</summary>
        Unsafe = 103,

        /// <summary>A defect in the library was contained. The client remains usable; please report it.</summary>
        Internal = 900,
    }
}
