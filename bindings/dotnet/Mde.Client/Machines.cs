using System;
using System.Collections.Generic;
using Mde.Native;

namespace Mde
{
    /// <summary>
    /// A device, as the service describes it. Only <see cref="Id"/> is certain to be there. All its members are in the
    /// document.
    /// </summary>
    public sealed class Machine
    {
        internal Machine(JsonObject machine)
        {
            Id = machine.Required("id");
            ComputerDnsName = machine.Text("computerDnsName");
            OsPlatform = machine.Text("osPlatform");
            HealthStatus = machine.Text("healthStatus");
            OnboardingStatus = machine.Text("onboardingStatus");
            LastSeen = machine.Time("lastSeen");
            LastIPAddress = machine.Text("lastIpAddress");
            LastExternalIPAddress = machine.Text("lastExternalIpAddress");
            EntraDeviceId = machine.Text("aadDeviceId");
            RiskScore = machine.Text("riskScore");
            MergedIntoMachineId = machine.Text("mergedIntoMachineId");
        }

        /// <summary>The device id.</summary>
        public string Id { get; }

        /// <summary>The name of the device.</summary>
        public string? ComputerDnsName { get; }

        /// <summary>"Windows11", "macOS", "Linux" and so on.</summary>
        public string? OsPlatform { get; }

        /// <summary>"Active", "Inactive" and so on.</summary>
        public string? HealthStatus { get; }

        /// <summary>"Onboarded" and so on.</summary>
        public string? OnboardingStatus { get; }

        /// <summary>When the device last reported.</summary>
        public DateTimeOffset? LastSeen { get; }

        /// <summary>The last address in its local network.</summary>
        public string? LastIPAddress { get; }

        /// <summary>The last address that the service saw.</summary>
        public string? LastExternalIPAddress { get; }

        /// <summary>Its Entra device id.</summary>
        public string? EntraDeviceId { get; }

        /// <summary>"None" to "High".</summary>
        public string? RiskScore { get; }

        /// <summary>The device that this record was merged into.</summary>
        public string? MergedIntoMachineId { get; }

        /// <summary>The id and the name.</summary>
        public override string ToString()
        {
            return "device " + Id + (ComputerDnsName == null ? "" : ", " + ComputerDnsName);
        }
    }

    /// <summary>Reasons why a collection on a device may not start or end.</summary>
    public sealed class MachineCheck
    {
        internal MachineCheck(JsonObject check)
        {
            Id = check.Required("id");
            Problems = check.Texts("problems");
        }

        /// <summary>The device.</summary>
        public string Id { get; }

        /// <summary>
        /// "same_name", "potential_duplicate", "merged", "excluded", "not_onboarded", "unsupported", "offline". Later
        /// versions may add more.
        /// </summary>
        public IReadOnlyList<string> Problems { get; }

        /// <summary>The device and the problems.</summary>
        public override string ToString()
        {
            return "device " + Id + ": " + (Problems.Count == 0 ? "no problem" : string.Join(", ", Problems));
        }
    }

    /// <summary>The result of <see cref="MdeClient.FindMachines"/>.</summary>
    public sealed class MachinesResult : MdeResult
    {
        /// <summary>Makes a result from its document.</summary>
        /// <param name="json">For example <c>{"machines":[{"id":"…"}],"checks":[{"id":"…","problems":[]}],"more":false}</c>.</param>
        /// <exception cref="FormatException">It is no such document.</exception>
        public MachinesResult(string json) : base(json, out var document)
        {
            Machines = document.Objects("machines", it => new Machine(it));
            Checks = document.Objects("checks", it => new MachineCheck(it));
            HasMore = document.Flag("more");
        }

        /// <summary>The devices; empty if there is none.</summary>
        public IReadOnlyList<Machine> Machines { get; }

        /// <summary>One for each device, in the same order.</summary>
        public IReadOnlyList<MachineCheck> Checks { get; }

        /// <summary>Whether there are more devices than were returned.</summary>
        public bool HasMore { get; }

        /// <summary>How many devices it has.</summary>
        public override string ToString()
        {
            return JsonObject.Count(Machines.Count, "device") + (HasMore ? ", and there are more" : "");
        }
    }
}
