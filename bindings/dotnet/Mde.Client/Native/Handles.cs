using System;
using Microsoft.Win32.SafeHandles;

namespace Mde.Native
{
    /// <summary>A string that the library returned.</summary>
    internal sealed class StringHandle : SafeHandleZeroOrMinusOneIsInvalid
    {
        public StringHandle() : base(true)
        {
        }

        /// <summary>The text, or null if the library returned none.</summary>
        internal string? Text()
        {
            return IsInvalid ? null : Utf8.Read(handle);
        }

        protected override bool ReleaseHandle()
        {
            NativeMethods.mde_string_free(handle);
            return true;
        }
    }

    internal sealed class OptionsHandle : SafeHandleZeroOrMinusOneIsInvalid
    {
        public OptionsHandle() : base(true)
        {
        }

        protected override bool ReleaseHandle()
        {
            NativeMethods.mde_options_free(handle);
            return true;
        }
    }

    internal sealed class ClientHandle : SafeHandleZeroOrMinusOneIsInvalid
    {
        public ClientHandle() : base(true)
        {
        }

        protected override bool ReleaseHandle()
        {
            NativeMethods.mde_client_free(handle);
            return true;
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
