using System;
using System.Threading;

namespace Mde
{
    /// <summary>A call failed. <see cref="Error"/> has all that is known about it.</summary>
    public class MdeException : Exception
    {
        internal MdeException(MdeError error) : base(error.Message)
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
    /// started: <see cref="Error"/> says what is known of that.
    /// </summary>
    public class MdeCanceledException : OperationCanceledException
    {
        internal MdeCanceledException(MdeError error, CancellationToken token) : base(error.Message, null, token)
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
