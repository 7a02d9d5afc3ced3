using System;
using Microsoft.Win32.SafeHandles;

namespace Mde.Native
{
    /// <summary>A string that the library gave out.</summary>
    internal sealed class StringHandle : SafeHandleZeroOrMinusOneIsInvalid
    {
        public StringHandle() : base(true)
        {
        }

        /// <summary>The text, or null where the library gave out none.</summary>
        internal string Text()
        {
            return IsInvalid ? null : Utf8.Read(handle);
        }

        protected override bool ReleaseHandle()
        {
            NativeMethods.mde_string_free(handle);
            return true;
        }
    }

    /// <summary>What native code may call a token provider of.</summary>
    internal abstract class TokenUserHandle : SafeHandleZeroOrMinusOneIsInvalid
    {
        protected TokenUserHandle() : base(true)
        {
        }

        /// <summary>What the callback needs, or null; the handle has one reference to it.</summary>
        internal TokenSource Tokens { get; set; }

        protected abstract void Free();

        protected sealed override bool ReleaseHandle()
        {
            Free();
            // Only now nothing can call it any more.
            Tokens?.Release();
            return true;
        }
    }

    internal sealed class OptionsHandle : TokenUserHandle
    {
        protected override void Free()
        {
            NativeMethods.mde_options_free(handle);
        }
    }

    internal sealed class ClientHandle : TokenUserHandle
    {
        protected override void Free()
        {
            NativeMethods.mde_client_free(handle);
        }
    }

    internal sealed class CancelHandle : SafeHandleZeroOrMinusOneIsInvalid
    {
        /// <summary>No handle: nothing can cancel the call.</summary>
        internal static readonly CancelHandle None = new CancelHandle();

        public CancelHandle() : base(true)
        {
        }

        protected override bool ReleaseHandle()
        {
            NativeMethods.mde_cancel_free(handle);
            return true;
        }
    }
}
