using System;
using System.Runtime.InteropServices;

// Otherwise a program that lacks the library loads one that lies in the current folder, on Windows.
[assembly: DefaultDllImportSearchPaths(DllImportSearchPath.AssemblyDirectory | DllImportSearchPath.SafeDirectories)]

namespace Mde.Native
{
    /// <summary>
    /// The functions of <c>mde.h</c>, one by one, and nothing else. Strings are passed as NUL-terminated UTF-8 bytes,
    /// which every runtime pins without a copy. Handles are passed as <see cref="SafeHandle"/>, which the runtime does
    /// not free during the call.
    /// </summary>
    internal static class NativeMethods
    {
        /// <summary>
        /// <c>mde.dll</c> or <c>libmde.so</c>, on the runtime's search path; the build for .NET 8 also knows <c>libmde.so.0</c>.
        /// </summary>
        internal const string Library = "mde";

        private const CallingConvention C = CallingConvention.Cdecl;

        [UnmanagedFunctionPointer(C)]
        internal delegate void LogFunction(IntPtr userData, int level, IntPtr message);

        [UnmanagedFunctionPointer(C)]
        internal delegate int ProgressFunction(IntPtr userData, IntPtr eventJson);

        [UnmanagedFunctionPointer(C)]
        internal delegate int TokenFunction(IntPtr userData, IntPtr tokenScope, IntPtr sink);

        [UnmanagedFunctionPointer(C)]
        internal delegate int SignFunction(IntPtr userData, IntPtr algorithm, IntPtr data, ulong size, IntPtr sink);

        [UnmanagedFunctionPointer(C)]
        internal delegate void FreeFunction(IntPtr userData);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern IntPtr mde_version();

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern uint mde_abi_version();

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern IntPtr mde_status_name(int status);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern void mde_string_free(IntPtr text);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_json_get(byte[] json, byte[] jsonPointer, out StringHandle value);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_log_set(
            LogFunction? callback, IntPtr userData, FreeFunction? freeUserData, int level);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_token_set(IntPtr sink, byte[] token, ulong expiresInSeconds);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_signature_set(IntPtr sink, byte[] signature, ulong size);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern ulong mde_signature_time_left_ms(IntPtr sink);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern OptionsHandle mde_options_new();

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern void mde_options_free(IntPtr options);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_options_set(
            OptionsHandle options, byte[] name, byte[] value, out StringHandle json);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_options_set_json(OptionsHandle options, byte[] document, out StringHandle json);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_options_set_token_provider(
            OptionsHandle options, TokenFunction callback, IntPtr userData, FreeFunction freeUserData);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_options_set_signer(
            OptionsHandle options, SignFunction callback, IntPtr userData, FreeFunction freeUserData);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_client_new(
            OptionsHandle options, out ClientHandle client, out StringHandle json);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_client_shutdown(ClientHandle client, ulong timeoutMs);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern void mde_client_free(IntPtr client);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern CancelHandle mde_cancel_new(ulong timeoutMs);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern void mde_cancel_trigger(CancelHandle cancel);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern void mde_cancel_free(IntPtr cancel);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_collect_package(
            ClientHandle client, byte[] machineId, byte[] comment, CancelHandle cancel, out StringHandle json);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_get_action(
            ClientHandle client, byte[] actionId, CancelHandle cancel, out StringHandle json);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_list_actions(
            ClientHandle client, byte[] odataFilter, CancelHandle cancel, out StringHandle json);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_get_quota(ClientHandle client, out StringHandle json);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_check_access(ClientHandle client, CancelHandle cancel, out StringHandle json);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_wait_action(
            ClientHandle client, byte[] actionId, ProgressFunction? progress, IntPtr userData, CancelHandle cancel,
            out StringHandle json);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_cancel_action(
            ClientHandle client, byte[] actionId, byte[] comment, CancelHandle cancel, out StringHandle json);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_find_machines(
            ClientHandle client, byte[] query, CancelHandle cancel, out StringHandle json);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_get_package_uri(
            ClientHandle client, byte[] actionId, CancelHandle cancel, out StringHandle json);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_download_package(
            ClientHandle client, byte[] actionId, byte[] path, ProgressFunction? progress, IntPtr userData,
            CancelHandle cancel, out StringHandle json);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_fetch_package(
            ClientHandle client, byte[] machineId, byte[] comment, byte[] path, ProgressFunction? progress,
            IntPtr userData, CancelHandle cancel, out StringHandle json);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_fetch_packages(
            ClientHandle client, byte[]? devicesJson, byte[] comment, byte[] folder, ProgressFunction? progress,
            IntPtr userData, CancelHandle cancel, out StringHandle json);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_read_packages(byte[] folder, out StringHandle json);

        [DllImport(Library, CallingConvention = C, ExactSpelling = true)]
        internal static extern int mde_inspect_package(
            byte[] path, ProgressFunction? progress, IntPtr userData, CancelHandle cancel, out StringHandle json);
    }
}
