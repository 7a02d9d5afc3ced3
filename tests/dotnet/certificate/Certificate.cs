using System;
using System.Security.Cryptography.X509Certificates;
using Mde;

namespace Mde.Tests
{
    /// <summary>Signs in with the certificate of a PFX file, whose key is .NET's, and prints the machine actions.</summary>
    internal static class Certificate
    {
        private static string Setting(string name)
        {
            return Environment.GetEnvironmentVariable(name) ?? throw new InvalidOperationException(name + " is not set");
        }

        private static int Main(string[] arguments)
        {
            using (var options = new MdeOptions())
            {
                options.SetJson(Setting("MDE_OPTIONS")).Set("tenant_id", Setting("MDE_TENANT_ID")).Set("client_id", Setting("MDE_CLIENT_ID"));
                using (var certificate = new X509Certificate2(arguments[0], arguments[1]))
                {
                    options.SetCertificate(certificate);
                    try
                    {
                        using (var bare = new X509Certificate2(certificate.RawData))
                        {
                            options.SetCertificate(bare);
                        }
                        return 2;
                    }
                    catch (ArgumentException e) when (e.Message.Contains("has no private key"))
                    {
                        // The one before stays.
                    }
                }
                using (var client = new MdeClient(options))
                {
                    Console.WriteLine(client.ListActions("").Json);
                }
            }
            return 0;
        }
    }
}
