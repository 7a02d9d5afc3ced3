using System;
using System.Collections.Generic;
using System.Text.Json.Serialization;

namespace Mde
{
    /// <summary>A device, as the service describes it. Only <see cref="Id"/> is certain to be there. All its members are in the document.</summary>
    public sealed class Machine
    {
        /// <summary>The device id.</summary>
        [JsonPropertyName("id")]
        public string Id { get; set; }

        /// <summary>The name of the device.</summary>
        [JsonPropertyName("computerDnsName")]
        public string ComputerDnsName { get; set; }

        /// <summary>"Windows11", "macOS", "Linux" and so on.</summary>
        [JsonPropertyName("osPlatform")]
        public string OsPlatform { get; set; }

        /// <summary>"Active", "Inactive" and so on.</summary>
        [JsonPropertyName("healthStatus")]
        public string HealthStatus { get; set; }

        /// <summary>"Onboarded" and so on.</summary>
        [JsonPropertyName("onboardingStatus")]
        public string OnboardingStatus { get; set; }

        /// <summary>When the device last reported, as the service wrote it.</summary>
        [JsonPropertyName("lastSeen")]
        public string LastSeen { get; set; }

        /// <summary>The last address in its local network.</summary>
        [JsonPropertyName("lastIpAddress")]
        public string LastIpAddress { get; set; }

        /// <summary>The last address that the service saw.</summary>
        [JsonPropertyName("lastExternalIpAddress")]
        public string LastExternalIpAddress { get; set; }

        /// <summary>Its Entra device id.</summary>
        [JsonPropertyName("aadDeviceId")]
        public string EntraDeviceId { get; set; }

        /// <summary>"None" to "High".</summary>
        [JsonPropertyName("riskScore")]
        public string RiskScore { get; set; }

        /// <summary>The device that this record was merged into.</summary>
        [JsonPropertyName("mergedIntoMachineId")]
        public string MergedIntoMachineId { get; set; }

        /// <summary>When the device last reported; null if the service did not report it.</summary>
        [JsonIgnore]
        public DateTimeOffset? LastSeenTime => Times.Parse(LastSeen);
    }

    /// <summary>Reasons why a collection on a device may not start or end.</summary>
    public sealed class MachineCheck
    {
        /// <summary>The device.</summary>
        [JsonPropertyName("id")]
        public string Id { get; set; }

        /// <summary>"same_name", "potential_duplicate", "merged", "excluded", "not_onboarded", "unsupported", "offline". Later versions may add more.</summary>
        [JsonPropertyName("problems")]
        public IReadOnlyList<string> Problems { get; set; } = new string[0];
    }

    /// <summary>The result of <see cref="MdeClient.FindMachines"/>.</summary>
    public sealed class MachinesResult : MdeResult
    {
        /// <summary>The devices; empty if there is none.</summary>
        [JsonPropertyName("machines")]
        public IReadOnlyList<Machine> Machines { get; set; } = new Machine[0];

        /// <summary>One for each device, in the same order.</summary>
        [JsonPropertyName("checks")]
        public IReadOnlyList<MachineCheck> Checks { get; set; } = new MachineCheck[0];

        /// <summary>Whether there are more devices than were returned.</summary>
        [JsonPropertyName("more")]
        public bool More { get; set; }
    }
}
