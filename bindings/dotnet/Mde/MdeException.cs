using System;
using System.Threading;

namespace Mde
{
    /// <summary>
    /// A call failed. <see cref="Error"/> has all that is known about it. Where a token provider threw and the call
    /// ended for another reason, what it threw is the inner exception.
    /// </summary>
    public class MdeException : Exception
    {
        /// <summary>
        /// What a callback of the program threw has under this key, in its <see cref="Exception.Data"/>, the number of
        /// the status that the call ended with: an <see cref="int"/>, a value of <see cref="MdeStatus"/>.
        /// </summary>
        public const string StatusKey = "Mde.Status";

        /// <summary>Like <see cref="StatusKey"/>, the document that the call ended with, as a string.</summary>
        public const string JsonKey = "Mde.Json";

        internal MdeException(MdeError error, Exception inner = null) : base(error.Message, inner)
        {
            Error = error;
        }

        /// <summary>All that is known, the library's own document included.</summary>
        public MdeError Error { get; }

        /// <summary>What the call came to.</summary>
        public MdeStatus Status => Error.Status;

        /// <summary>The same call may succeed later without any change.</summary>
        public bool Retryable => Error.Retryable;

        /// <summary>How long to wait before trying again, where that is known.</summary>
        public TimeSpan? RetryAfter => Error.RetryAfter;

        /// <summary>The HTTP status of the reply, where there was one.</summary>
        public int? HttpStatus => Error.HttpStatus;

        /// <summary>The request may have been carried out although the call failed: look before repeating it.</summary>
        public bool OutcomeUnknown => Error.OutcomeUnknown;

        /// <summary>The machine action that this is about, where there is one.</summary>
        public string ActionId => Error.ActionId;

        /// <summary>The library's document.</summary>
        public string Json => Error.Json;
    }

    /// <summary>
    /// A call ended because its <see cref="CancellationToken"/> was cancelled. That ends the call, not what it may have
    /// started: <see cref="Error"/> says what is known of that. Where a callback ended the call with an exception of its
    /// own, because it saw that the token was cancelled, that is the inner exception.
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

        /// <summary>The request may have been carried out all the same: look before repeating it.</summary>
        public bool OutcomeUnknown => Error.OutcomeUnknown;

        /// <summary>The machine action that this is about, where there is one.</summary>
        public string ActionId => Error.ActionId;

        /// <summary>The library's document.</summary>
        public string Json => Error.Json;
    }
}
