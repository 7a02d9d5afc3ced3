using System;
using System.Threading;

namespace Mde
{
    /// <summary>
    /// A call failed. <see cref="Error"/> has all that is known about it. If a token provider threw but the call
    /// ended for another reason, the provider's exception is the inner one.
    /// </summary>
    public partial class MdeException : Exception
    {
        /// <summary>Makes an exception, for the tests of a program.</summary>
        /// <param name="status">The status.</param>
        /// <param name="message">What happened.</param>
        public MdeException(MdeStatus status, string message) : this(new MdeError(status, message))
        {
        }

        /// <summary>Makes an exception, for the tests of a program.</summary>
        /// <param name="error">All that is known.</param>
        /// <param name="innerException">What a callback threw, or null.</param>
        public MdeException(MdeError error, Exception? innerException = null)
            : this(error, MessageOf(error), innerException)
        {
        }

        private protected MdeException(MdeError error, string message, Exception? innerException)
            : base(message, innerException)
        {
            Error = error;
        }

        /// <summary>All that is known, the library's own document included.</summary>
        public MdeError Error { get; }

        /// <summary>The status of the call.</summary>
        public MdeStatus Status => Error.Status;

        /// <summary>The same call may succeed later without any change.</summary>
        public bool IsRetryable => Error.IsRetryable;

        /// <summary>How long to wait before trying again; null if it is not known.</summary>
        public TimeSpan? RetryAfter => Error.RetryAfter;

        /// <summary>The HTTP status of the reply; null without a reply.</summary>
        public int? HttpStatus => Error.HttpStatus;

        /// <summary>Whether the request may have been carried out although the call failed. Check before repeating it.</summary>
        public bool IsOutcomeUnknown => Error.IsOutcomeUnknown;

        /// <summary>The machine action of the call; null if there is none.</summary>
        public string? ActionId => Error.ActionId;

        internal static string MessageOf(MdeError error)
        {
            return (error ?? throw new ArgumentNullException(nameof(error))).Message;
        }

        /// <summary>The exception with what is known of the call, for logs.</summary>
        public override string ToString()
        {
            return base.ToString() + Environment.NewLine + Error.Facts();
        }
    }

    /// <summary>
    /// A progress receiver or a token provider of the program threw an exception, which is the inner one and ended the
    /// call. <see cref="MdeException.Error"/> has what became of the call. Its status is <see cref="MdeStatus.Ok"/>
    /// where the call had succeeded all the same; its document is then the result.
    /// </summary>
    public sealed partial class MdeCallbackException : MdeException
    {
        /// <summary>Makes an exception, for the tests of a program.</summary>
        /// <param name="error">What became of the call.</param>
        /// <param name="innerException">What the callback threw.</param>
        public MdeCallbackException(MdeError error, Exception innerException)
            : base(error, MessageOf(error, innerException), innerException)
        {
        }

        private static string MessageOf(MdeError error, Exception thrown)
        {
            var inner = thrown ?? throw new ArgumentNullException("innerException");
            return "A callback threw " + inner.GetType().Name + ": " + inner.Message + " The call ended with "
                + (error ?? throw new ArgumentNullException(nameof(error))).Name + ".";
        }
    }

    /// <summary>
    /// A call ended because its <see cref="CancellationToken"/> was cancelled. A collection that it started is not
    /// cancelled: <see cref="Error"/> names it if it is known. If a callback threw because the token was cancelled, its
    /// exception is the inner one.
    /// </summary>
    public sealed partial class MdeCanceledException : OperationCanceledException
    {
        /// <summary>Makes an exception, for the tests of a program.</summary>
        /// <param name="error">All that is known.</param>
        /// <param name="token">The token that was cancelled.</param>
        /// <param name="innerException">What a callback threw, or null.</param>
        public MdeCanceledException(MdeError error, CancellationToken token, Exception? innerException = null)
            : base(MdeException.MessageOf(error), innerException, token)
        {
            Error = error;
        }

        /// <summary>All that is known, the library's own document included.</summary>
        public MdeError Error { get; }

        /// <summary>Whether the request may have been carried out nevertheless. Check before repeating it.</summary>
        public bool IsOutcomeUnknown => Error.IsOutcomeUnknown;

        /// <summary>The machine action of the call; null if there is none.</summary>
        public string? ActionId => Error.ActionId;

        /// <summary>The exception with what is known of the call, for logs.</summary>
        public override string ToString()
        {
            return base.ToString() + Environment.NewLine + Error.Facts();
        }
    }
}
