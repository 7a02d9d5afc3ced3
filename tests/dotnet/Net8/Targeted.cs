using System;
using System.Collections.Generic;

namespace Mde.Tests
{
    /// <summary>What only the assembly for .NET 8 has: nothing that these checks can see.</summary>
    internal static class Targeted
    {
        internal static void AddTo(IDictionary<string, Action> checks)
        {
        }
    }
}
