/*
 * What Debian's Wine lacks: bcryptprimitives.dll, of whose functions Rust's standard library needs this one. Every
 * Windows that the library is for has it.
 */
#include <windows.h>

/* RtlGenRandom, under the name by which advapi32 exports it. */
__declspec(dllimport) BOOLEAN NTAPI SystemFunction036(PVOID buffer, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length) {
    while (length > 0) {
        ULONG part = length > 0x10000000 ? 0x10000000 : (ULONG)length;
        if (!SystemFunction036(data, part)) {
            return FALSE;
        }
        data += part;
        length -= part;
    }
    return TRUE;
}
