#if !NET8_0_OR_GREATER
using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.Reflection;
using System.Text.Json.Serialization;

namespace Mde.Native
{
    /// <summary>
    /// Fills the classes of results by their attributes, as System.Text.Json does on newer targets. A member of an
    /// unexpected type is left out, so that it does not cost the whole result.
    /// </summary>
    internal static class Documents
    {
        internal static T Read<T>(string json) where T : class
        {
            return (T)Fill(JsonText.Parse(json), typeof(T));
        }

        private static object Fill(object value, Type type)
        {
            if (value is Dictionary<string, object> members)
            {
                return type.IsClass && type.Namespace == nameof(Mde) ? FillObject(members, type) : null;
            }
            if (value is List<object> elements)
            {
                return FillList(elements, type);
            }
            if (value is JsonText.Number number)
            {
                return FillNumber(number.Text, Nullable.GetUnderlyingType(type) ?? type);
            }
            if (value is bool && (type == typeof(bool) || type == typeof(bool?)) || value is string && type == typeof(string))
            {
                return value;
            }
            return null;
        }

        private static object FillObject(Dictionary<string, object> members, Type type)
        {
            var result = Activator.CreateInstance(type);
            foreach (var property in type.GetProperties(BindingFlags.Instance | BindingFlags.Public))
            {
                var name = property.GetCustomAttribute<JsonPropertyNameAttribute>();
                object member;
                if (name == null || !members.TryGetValue(name.Name, out member))
                {
                    continue;
                }
                var value = Fill(member, property.PropertyType);
                if (value != null)
                {
                    property.SetValue(result, value);
                }
            }
            return result;
        }

        private static object FillList(List<object> elements, Type type)
        {
            if (!type.IsGenericType || type.GetGenericTypeDefinition() != typeof(IReadOnlyList<>))
            {
                return null;
            }
            var element = type.GetGenericArguments()[0];
            var list = (IList)Activator.CreateInstance(typeof(List<>).MakeGenericType(element));
            foreach (var value in elements)
            {
                var filled = Fill(value, element);
                if (filled != null)
                {
                    list.Add(filled);
                }
            }
            return list;
        }

        private static object FillNumber(string text, Type type)
        {
            var culture = CultureInfo.InvariantCulture;
            if (type == typeof(int) && int.TryParse(text, NumberStyles.Integer, culture, out var small))
            {
                return small;
            }
            if (type == typeof(long) && long.TryParse(text, NumberStyles.Integer, culture, out var large))
            {
                return large;
            }
            if (type == typeof(double) && double.TryParse(text, NumberStyles.Float, culture, out var real))
            {
                return real;
            }
            return type == typeof(string) ? text : null;
        }
    }
}

namespace System.Text.Json.Serialization
{
    /// <summary>Replaces the attribute of newer targets, so that all targets share the classes of results.</summary>
    [AttributeUsage(AttributeTargets.Property)]
    internal sealed class JsonPropertyNameAttribute : Attribute
    {
        internal JsonPropertyNameAttribute(string name)
        {
            Name = name;
        }

        internal string Name { get; }
    }

    /// <summary>Replaces the attribute of newer targets.</summary>
    [AttributeUsage(AttributeTargets.Property)]
    internal sealed class JsonIgnoreAttribute : Attribute
    {
    }
}
#endif
