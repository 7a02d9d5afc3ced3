using System;
using System.Threading;

namespace Mde
{
    /// <summary>
    /// A call failed. <see cref="Error"/> has all that is known about it. If a token provider threw but the call
    /// ended for another reason, the provider's exception is the inner one.
    /// </summary>
    public class MdeException : Exception
    {
        /// <summary>
        /// The key in <see cref="Exception.Data"/> of an exception that a callback threw. Its value is the status of
        /// the call: an <see cref="int"/>, a value of <see cref="MdeStatus"/>.
        /// </summary>
        public const string StatusKey = "Mde.Status";

        /// <summary>Like <see cref="StatusKey"/>, for the document of the call, a string.</summary>
        public const string JsonKey = "Mde.Json";

        internal MdeException(MdeError error, Exception inner = null) : base(error.Message, inner)
        {
            Error = error;
        }

        /// <summary>All that is known, the library's own document included.</summary>
        public MdeError Error { get; }

        /// <summary>The status of the call.</summary>
        public MdeStatus Status => Error.Status;

        /// <summary>The same call may succeed later without any change.</summary>
        public bool Retryable => Error.Retryable;

        /// <summary>How long to wait before trying again; null if it is not known.</summary>
        public TimeSpan? RetryAfter => Error.RetryAfter;

        /// <summary>The HTTP status of the reply; null without a reply.</summary>
        public int? HttpStatus => Error.HttpStatus;

        /// <summary>Whether the request may have been carried out although the call failed. Check before repeating it.</summary>
        public bool OutcomeUnknown => Error.OutcomeUnknown;

        /// <summary>The machine action of the call; null if there is none.</summary>
        public string ActionId => Error.ActionId;

        /// <summary>The library's document.</summary>
        public string Json => Error.Json;
    }

    /// <summary>
    /// A call ended because its <see cref="CancellationToken"/> was cancelled. A collection that it started is not
    /// cancelled: <see cref="Error"/> names it if it is known. If a callback threw because the token was cancelled, its
    /// exception is the inner one.
    /// </summary>
    public class MdeCanceledException : OperationCanceledException
    {
        internal MdeCanceledException(MdeError error, CancellationToken token, Exception inner)
            : base(error.Message, inner, token)
        {
            Error = error;
        }

        /// <summary>All that is known, the library's own document included.</summary>
        public MdeError Error { get; }

        /// <summary>Whether the request may have been carried out nevertheless. Check before repeating it.</summary>
        public bool OutcomeUnknown => Error.OutcomeUnknown;

        /// <summary>The machine action of the call; null if there is none.</summary>
        public string ActionId => Error.ActionId;

        /// <summary>The library's document.</summary>
        public string Json => Error.Json;
    }
}
